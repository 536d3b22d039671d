"""Settings of a repository: `.nginx-stream-lint.yaml`, or a table of `pyproject.toml`."""

from nginx_stream_lint.settings.load import FILE_NAME, Settings, SettingsMistake, find, load

__all__ = ["FILE_NAME", "Settings", "SettingsMistake", "find", "load"]
