"""`python -m nginx_stream_lint`."""

from nginx_stream_lint.cli import main

if __name__ == "__main__":
    main()
