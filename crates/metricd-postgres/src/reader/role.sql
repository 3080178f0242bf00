-- The limits and settings of the role $1. $2 are the data schemas.
SELECT
    r.rolconnlimit AS connection_limit,
    coalesce(r.rolconfig, '{}') AS settings,
    coalesce(('search_path=' || (
        SELECT string_agg(quote_ident(searched.name), ', ' ORDER BY searched.number)
        FROM unnest($2) WITH ORDINALITY AS searched (name, number)
    )) = ANY (r.rolconfig), false) AS has_search_path,
    shobj_description(r.oid, 'pg_authid') AS comment
FROM pg_catalog.pg_roles AS r WHERE r.rolname = $1
