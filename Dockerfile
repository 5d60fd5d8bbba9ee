# The version that the test suite runs on.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY hack/image hack/image
COPY manifests manifests
COPY capt capt
RUN hack/image/build.sh /opt/capt

FROM python:${PYTHON_VERSION}-slim
LABEL org.opencontainers.image.title="capt" \
      org.opencontainers.image.description="Cluster API Provider Terraform: machines as Terraform workspaces" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
# nothing is ever installed into a running container
RUN python -m pip uninstall --quiet --yes --root-user-action ignore pip setuptools wheel
COPY --from=build /opt/capt /opt/capt
# HOME and XDG_STATE_HOME: nothing outside /tmp and the data directory, /var/lib/capt, is written
ENV PATH=/opt/capt/bin:$PATH \
    PYTHONPYCACHEPREFIX=/opt/capt/bytecode \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    XDG_STATE_HOME=/var/lib
WORKDIR /
# by number, so that runAsNonRoot can be checked without reading the image's passwd
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["python", "-m", "capt.manager"]
