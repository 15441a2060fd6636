# Dagbook from this checkout, for compose.yaml and as the base of images with more programs (docs/how-to/containers.md).
FROM python:3.13-slim

# For definitions from Git repositories (docs/how-to/sources.md).
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/dagbook
COPY requirements/runtime.txt ./requirements/
RUN pip install --no-cache-dir --require-hashes --requirement requirements/runtime.txt
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY app ./app
COPY migrations ./migrations
RUN pip install --no-cache-dir --no-deps .

# The user's home is the volume: with a read-only image it is where programs of steps can keep their files.
RUN useradd --uid 1000 --home-dir /var/lib/dagbook --shell /bin/sh dagbook \
    && install --directory --owner dagbook --group dagbook --mode 0700 /var/lib/dagbook
USER dagbook
# Steps end with their container, so after an orderly stop nothing goes on that a longer lease would protect.
ENV DAGBOOK_HOME=/var/lib/dagbook DAGBOOK_DETACH_LEASE_SECONDS=10
VOLUME /var/lib/dagbook
EXPOSE 8080
ENTRYPOINT ["dagbook"]
CMD ["serve"]
