-- A user for dashboards and the page, who may read the history, and nothing else: whoever may look at a
-- dashboard may ask its data source anything, also for what is in tables of PostgreSQL itself.
-- With psql, as an administrator, in the database of the history:
--   DRIFTLINE_DB_READER_PASSWORD=… psql --file deploy/postgresql/reader.sql
-- Tables are those of the user driftline; --set writer=NAME names another.
\set ON_ERROR_STOP on
\getenv password DRIFTLINE_DB_READER_PASSWORD
\if :{?writer}
\else
\set writer driftline
\endif
CREATE ROLE driftline_reader LOGIN PASSWORD :'password' CONNECTION LIMIT 20;
ALTER ROLE driftline_reader SET default_transaction_read_only = on;
ALTER ROLE driftline_reader SET statement_timeout = '60s';
-- Not pg_read_all_data: that reads the digests of passwords, too.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO driftline_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE :"writer" IN SCHEMA public
  GRANT SELECT ON TABLES TO driftline_reader;
-- What everybody may by default, with which a user who takes back both settings fills the disk.
GRANT TEMPORARY ON DATABASE :"DBNAME" TO :"writer";
REVOKE TEMPORARY ON DATABASE :"DBNAME" FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION
  lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
