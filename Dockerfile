# Builds on any Debian base that has Python 3.15; missing packages are installed in the first stage only.
ARG BASE=docker.io/library/python:3.15-slim

FROM ${BASE} AS tools
RUN set -e; \
    if ! [ -x /usr/bin/gcc -a -x /usr/bin/make -a -x /usr/bin/musl-gcc -a -e /usr/include/yaml.h ]; then \
        apt-get update -q; \
        apt-get install -qy --no-install-recommends gcc libc6-dev libyaml-dev make musl-tools; \
    fi; \
    python3.15 -m venv /tools

# The static binary that sets variables in front of an application's command.
FROM tools AS launcher
WORKDIR /build
COPY Makefile ./
COPY tools tools
COPY injector/__init__.py injector/
COPY injector/launcher injector/launcher
# A program that may be executed and not read cannot be looked into by other processes of its user, from its first
# instruction on. Our container starts through such a copy; the other is read and handed to applications.
RUN make build/launcher; \
    install -D -m 0111 build/launcher /out/launcher; \
    install -D -m 0555 build/launcher /out/hand-over/launcher

# The interpreter and the dependencies. A machine whose packages come through a proxy with a certificate of its own passes
# that as `--secret id=ca,src=FILE`; it does not get into the image.
FROM tools AS rootfs
WORKDIR /build
COPY requirements/image.txt requirements/runtime.txt requirements/
RUN --mount=type=secret,id=ca set -e; \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_REQUIRE_HASHES=1 PIP_ROOT_USER_ACTION=ignore; \
    /tools/bin/pip install -q --only-binary :all: -r requirements/image.txt; \
    /tools/bin/pip install -q --only-binary :all: --no-binary PyYAML --no-build-isolation --target site -r requirements/runtime.txt
COPY tools/make_rootfs.py tools/
RUN PYTHONHASHSEED=0 python3.15 -I tools/make_rootfs.py site /rootfs

# Our own code, compiled like the rest.
FROM tools AS app
COPY injector /app/injector
COPY webhook /app/webhook
COPY tools/start.py /app/start.py
RUN rm -r /app/injector/launcher; \
    PYTHONHASHSEED=0 python3.15 -m compileall -q --invalidation-mode=unchecked-hash /app

FROM scratch
LABEL org.opencontainers.image.title="secret-injector" \
      org.opencontainers.image.description="Puts secrets into pods: a mutating admission webhook plans, the pod itself fetches into memory." \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=rootfs /rootfs /
COPY --from=launcher /out /usr/lib/secret-injector
COPY --from=app /app /app
ENV PATH=/usr/local/bin:/usr/bin \
    SECRET_INJECTOR_LAUNCHER=/usr/lib/secret-injector/hand-over/launcher
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/usr/bin/python", "-I", "-S", "-X", "lazy_imports=all", "/app/start.py"]
