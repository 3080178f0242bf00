-- How row security policies learn on whose behalf a statement runs.

-- What policies call, and the server. The reader may use it, unlike catalog.
CREATE SCHEMA tenancy;

-- By what the database knows that it was the server that has named a tenant: a key of HMAC-SHA-256 (RFC 2104), which the
-- reader cannot read. The pads follow from it.
CREATE TABLE catalog.tenant_key (
    is_only boolean NOT NULL DEFAULT true,
    key bytea NOT NULL,
    inner_pad bytea NOT NULL,
    outer_pad bytea NOT NULL,
    CONSTRAINT tenant_key_pkey PRIMARY KEY (is_only),
    CONSTRAINT tenant_key_is_only_check CHECK (is_only),
    CONSTRAINT tenant_key_key_check CHECK (length(key) = 32),
    CONSTRAINT tenant_key_pads_check CHECK (length(inner_pad) = 64 AND length(outer_pad) = 64)
);

INSERT INTO catalog.tenant_key (key, inner_pad, outer_pad)
SELECT
    seed.key,
    decode(string_agg(lpad(to_hex(block.byte # x'36'::integer), 2, '0'), '' ORDER BY block.place), 'hex'),
    decode(string_agg(lpad(to_hex(block.byte # x'5c'::integer), 2, '0'), '' ORDER BY block.place), 'hex')
FROM
    -- The random source of PostgreSQL's core gives 122 bits at a time.
    (SELECT sha256(string_agg(uuid_send(gen_random_uuid()), ''::bytea)) AS key FROM generate_series(1, 4)) AS seed,
    LATERAL (
        SELECT place, CASE WHEN place < 32 THEN get_byte(seed.key, place) ELSE 0 END AS byte
        FROM generate_series(0, 63) AS place
    ) AS block
GROUP BY seed.key;

-- The server names the tenant of the transaction: 64 hexadecimal digits, the code over `pid:tenant` for this session, and then
-- the tenant. What it is given here is not judged here: a statement may call this as well.
CREATE FUNCTION tenancy.enter(sealed text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- An assignment costs less than a statement.
    sealed := set_config('metricd.tenant', sealed, true);
END
$$;

-- The tenant on whose behalf the statement runs, for policies: `USING (tenant = (SELECT tenancy.current_tenant()))`. NULL where
-- there is none; an error where the setting is not what the server has made it for this session.
CREATE FUNCTION tenancy.current_tenant() RETURNS text
-- Not in a parallel worker, whose session is another.
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sealed text := current_setting('metricd.tenant', true);
    tenant text := substr(sealed, 65);
    is_genuine boolean;
BEGIN
    -- It is empty, not NULL, once a transaction has had one.
    IF sealed IS NULL OR sealed = '' THEN
        RETURN NULL;
    END IF;
    -- Both codes are hashed with the key before they are compared, so that how long that takes tells nothing of them.
    SELECT sha256(k.key || convert_to(left(sealed, 64), 'UTF8')) = sha256(k.key || convert_to(encode(
        sha256(k.outer_pad || sha256(k.inner_pad || convert_to(pg_backend_pid() || ':' || tenant, 'UTF8'))), 'hex'
    ), 'UTF8'))
    INTO STRICT is_genuine
    FROM catalog.tenant_key AS k;
    IF NOT is_genuine THEN
        RAISE EXCEPTION 'the tenant of the statement was tampered with' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN tenant;
END
$$;

-- The reader is given these rights by name.
REVOKE ALL ON FUNCTION tenancy.enter(text), tenancy.current_tenant() FROM PUBLIC;
