# The base image needs `python` with venv and pip. Both stages use the same one, because the environment contains paths.
# Build with `docker build --tag eem-guardrail:0.2.0 .` or `buildah bud --tag eem-guardrail:0.2.0 .`, and the build
# arguments below. Two builds of one commit on one base have the same layers if the builder sets file dates from the
# commit:
#   buildah bud --timestamp "$(git log -1 --format=%ct)" --tag eem-guardrail:0.2.0 .
#   SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" docker buildx build --output type=docker,rewrite-timestamp=true \
#     --tag eem-guardrail:0.2.0 .
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
USER 0:0
# A fixed seed and one process: otherwise the bytecode differs between builds.
ENV PYTHONHASHSEED=0 \
    PYTHONDONTWRITEBYTECODE=1
COPY requirements/run.txt /build/run.txt
RUN python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --disable-pip-version-check \
       --root-user-action ignore --require-hashes -r /build/run.txt
COPY webhook/ /app/webhook/
COPY certs/ /app/certs/
# Compiled now, because the root file system is read-only later: without bytecode a start takes 2 s and 80 MiB more.
# File modes differ between checkouts; these do not.
RUN python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib /app \
    && chmod -R u=rwX,go=rX /opt/venv /app

FROM ${PYTHON_IMAGE}
ARG VERSION=0.2.0
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="eem-guardrail" \
      org.opencontainers.image.description="Admission webhook that keeps NetworkPolicy edits from cutting off IBM Event Endpoint Management." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
# The CA of the API server is mounted, and the service opens no other TLS connections. An import would load the public
# CAs of the base image, which takes a sixth of a start.
# What large requests leave is given back to the system: with one arena for all threads, and each block of 256 KiB for
# itself, a flood of them takes less than half of the memory.
ENV PATH=/opt/venv/bin:$PATH \
    MALLOC_ARENA_MAX=1 \
    MALLOC_MMAP_THRESHOLD_=262144 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SSL_CERT_FILE=/dev/null
WORKDIR /app
USER 10001:10001
EXPOSE 8443 8080
ENTRYPOINT ["python", "-m", "webhook"]
CMD ["serve"]
