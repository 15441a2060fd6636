#!/bin/sh
# Runs in the container of PostgreSQL when its volume is empty: makes the database and its owner, who is no superuser.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'END'
\getenv password DAGBOOK_DATABASE_PASSWORD
CREATE ROLE dagbook LOGIN PASSWORD :'password';
CREATE DATABASE dagbook OWNER dagbook;
REVOKE ALL ON DATABASE dagbook FROM PUBLIC;
END
