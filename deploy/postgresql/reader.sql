-- A user for dashboards, who may read every table that there is and will be, and change none.
-- With psql: DRIFTLINE_DB_PASSWORD=… psql --file deploy/postgresql/reader.sql
\set ON_ERROR_STOP on
\getenv password DRIFTLINE_DB_PASSWORD
CREATE ROLE driftline_reader LOGIN PASSWORD :'password' CONNECTION LIMIT 20;
GRANT pg_read_all_data TO driftline_reader;
ALTER ROLE driftline_reader SET default_transaction_read_only = on;
ALTER ROLE driftline_reader SET statement_timeout = '60s';
