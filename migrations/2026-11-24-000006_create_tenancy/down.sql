DROP FUNCTION tenancy.current_tenant();
DROP FUNCTION tenancy.enter(text);
DROP TABLE catalog.tenant_key;
DROP SCHEMA tenancy;
