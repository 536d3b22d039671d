# docker build --tag nginx-stream-lint . && docker run --rm --volume "$PWD:/work:ro" nginx-stream-lint nginx.conf
FROM python:3.13-alpine AS build
COPY pyproject.toml README.md LICENSE /src/
COPY src /src/src
COPY rules /src/rules
COPY schema /src/schema
COPY man /src/man
RUN python -m venv /opt/nginx-stream-lint \
    && /opt/nginx-stream-lint/bin/pip install --no-cache-dir --disable-pip-version-check /src \
    && /opt/nginx-stream-lint/bin/pip uninstall --yes pip

FROM python:3.13-alpine
COPY --from=build /opt/nginx-stream-lint /opt/nginx-stream-lint
ENV PATH=/opt/nginx-stream-lint/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# Nobody: it reads what it is given, and writes reports only where that user may.
USER 65534:65534
WORKDIR /work
ENTRYPOINT ["nginx-stream-lint"]
CMD ["--help"]
