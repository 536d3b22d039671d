"""Folders of container images: those of nginx's configuration, and those of every system."""

from __future__ import annotations

import posixpath

# Folders that images of Linux systems have: `COPY start.sh /usr/local/bin` copies into one.
_SYSTEM_FOLDERS = frozenset(
    (
        *("/", "/bin", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/root", "/run", "/sbin"),
        *("/srv", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/sbin", "/usr/share", "/usr/src"),
        *("/usr/local", "/usr/local/bin", "/usr/local/etc", "/usr/local/lib", "/usr/local/sbin"),
        *("/usr/local/share", "/var", "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/tmp"),
        *("/etc/init.d", "/etc/cron.d", "/etc/logrotate.d", "/etc/ssl", "/etc/ssl/certs"),
    )
)
# A file below one of these may belong to nginx's configuration.
_FOLDERS = (
    "/etc/nginx",
    "/usr/local/openresty/nginx/conf",
    "/usr/local/nginx/conf",
    "/usr/local/etc/nginx",
    "/etc/angie",
    "/opt/bitnami/nginx/conf",
)
# Folders that every image has, and those of nginx's entrypoint and pages.
_ALWAYS_FOLDERS = frozenset(
    (
        *("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/root"),
        *("/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/local"),
        *("/usr/local/bin", "/usr/local/etc", "/usr/local/lib", "/usr/local/sbin", "/usr/sbin"),
        *("/usr/share", "/var", "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/tmp"),
        *("/docker-entrypoint.d", "/usr/share/nginx/html", "/var/www/html"),
    )
)


def is_configuration_path(path: str) -> bool:
    """Whether a path in a container is a usual place for nginx's configuration."""
    return any(path == one or path.startswith(f"{one}/") for one in _FOLDERS)


def is_folder_of_nginx(path: str) -> bool:
    """Whether a path is a folder in all images of nginx, or in most, judging by its name."""
    return (
        path in _ALWAYS_FOLDERS
        or path in _FOLDERS
        or (
            is_configuration_path(path)
            and posixpath.basename(path)
            in (
                "conf.d",
                "http.d",
                "sites-enabled",
                "sites-available",
                "snippets",
                "templates",
                "stream-conf.d",
            )
        )
    )


def is_folder_of_system(path: str) -> bool:
    """Whether a path is a folder in images of Linux systems, or in those of nginx."""
    return path in _SYSTEM_FOLDERS or is_folder_of_nginx(path)
