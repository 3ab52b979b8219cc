#!/bin/sh
# Runs once, when PostgreSQL's volume is empty: a role and a database for each server.
set -eu
for name in prefect mlflow; do
  case $name in
    prefect) password=$PREFECT_DATABASE_PASSWORD ;;
    mlflow) password=$MLFLOW_DATABASE_PASSWORD ;;
  esac
  # From standard input, so that no password stands on a command line.
  psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<SQL
CREATE ROLE $name LOGIN PASSWORD '$password';
CREATE DATABASE $name OWNER $name;
REVOKE ALL ON DATABASE $name FROM PUBLIC;
SQL
done
# Prefect's tables have trigram indexes, and its own role may not make extensions.
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname prefect \
  --command "CREATE EXTENSION IF NOT EXISTS pg_trgm"
