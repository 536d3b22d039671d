# docker build --tag nginx-stream-lint . && docker run --rm --volume "$PWD:/work:ro" nginx-stream-lint nginx.conf
FROM python:3.13-alpine@sha256:2d9aefe2fef018a7eb2c13064c89c71929800fd2e5dccdbf52ea5da5bb8d929a AS build
COPY pyproject.toml hatch_build.py README.md LICENSE /src/
COPY requirements /src/requirements
COPY src /src/src
COPY rules /src/rules
COPY schema /src/schema
COPY man /src/man
# pip installs only what the locks name with a hash, and only wheels, so no code of a package runs. The
# build reads the linter's tables with the linter, so it needs its packages, too. pip and what builds the
# wheel stay behind in this stage.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/build && python -m venv --without-pip /opt/nginx-stream-lint \
    && /opt/build/bin/pip install --require-hashes --no-deps --only-binary :all: \
        --requirement /src/requirements/build.txt --requirement /src/requirements/run.txt \
    && /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /opt/wheel /src \
    && /opt/build/bin/pip --python /opt/nginx-stream-lint install --require-hashes --no-deps \
        --only-binary :all: --requirement /src/requirements/run.txt \
    && /opt/build/bin/pip --python /opt/nginx-stream-lint install --no-deps --no-index \
        /opt/wheel/*.whl

FROM python:3.13-alpine@sha256:2d9aefe2fef018a7eb2c13064c89c71929800fd2e5dccdbf52ea5da5bb8d929a
COPY --from=build /opt/nginx-stream-lint /opt/nginx-stream-lint
ENV PATH=/opt/nginx-stream-lint/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# The user nobody: the linter needs no privileges.
USER 65534:65534
WORKDIR /work
ENTRYPOINT ["nginx-stream-lint"]
CMD ["--help"]
