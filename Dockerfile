# Dagbook from this checkout, for compose.yaml. Nobody has built it yet: there was no Docker where it was written.
FROM python:3.13-slim

WORKDIR /opt/dagbook
COPY requirements.txt ./
RUN pip install --no-cache-dir --require-hashes --requirement requirements.txt
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY app ./app
COPY migrations ./migrations
RUN pip install --no-cache-dir --no-deps .

RUN useradd --create-home --uid 1000 dagbook \
    && install --directory --owner dagbook --group dagbook --mode 0700 /var/lib/dagbook
USER dagbook
ENV DAGBOOK_HOME=/var/lib/dagbook
VOLUME /var/lib/dagbook
EXPOSE 8080
ENTRYPOINT ["dagbook"]
CMD ["serve"]
