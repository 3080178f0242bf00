-- Reads the resolved query of a statement: $1 is the tree that PostgreSQL's parser has made of it, with every function,
-- operator, relation and type by its oid, whatever the text called it. Names in it are escaped, so none can pass for a node.
-- $2 is a JSON array with an array for each column of the statement: its type, and the table and column that it shows
-- unchanged, or 0. $3 is the view from which the tree was read, or 0; PostgreSQL 15 has it among the relations.
WITH RECURSIVE
resolved AS (
    SELECT
        -- A join lists every column that it joins. Those that are read are named elsewhere, except by a whole row.
        CASE
            WHEN r.tree NOT LIKE '%:joinaliasvars (%' OR r.tree LIKE '%:varattno 0 %' THEN r.tree
            ELSE pg_catalog.regexp_replace(r.tree, ':joinaliasvars \((?:\{VAR [^{}]*\} ?)*\)', '', 'g')
        END AS tree
    FROM (SELECT $1::text) AS r (tree)
),

-- The nodes of the tree, each from its kind up to the next node. Constants are without their values and positions:
-- few of those in a list of thousands differ.
nodes AS (
    SELECT DISTINCT CASE
        WHEN node LIKE 'CONST :%' THEN pg_catalog.split_part(node, ' :location', 1) || pg_catalog.substr(node, pg_catalog.strpos(node, '}'))
        ELSE node
    END AS node
    FROM resolved, pg_catalog.string_to_table(pg_catalog.replace(tree, '\{', '\['), '{') AS node
),

-- The types of which the statement creates values: by constants, casts and column definitions, not by reading a
-- column.
made AS (
    SELECT f.hit[2]::oid AS oid, f.hit[1] = 'consttype' AS is_constant
    FROM nodes, pg_catalog.regexp_matches(node, ':(consttype|typid|row_typeid) (\d+)', 'g') AS f (hit)
    UNION
    SELECT f.hit[2]::oid, FALSE
    FROM nodes, pg_catalog.regexp_matches(node, '(:fieldnum \d+ )?:resulttype (\d+)', 'g') AS f (hit)
    WHERE f.hit[1] IS NULL
    UNION
    SELECT f.hit[1]::oid, FALSE
    FROM nodes, pg_catalog.regexp_matches(node, '^FUNCEXPR :funcid \d+ :funcresulttype (\d+) :funcretset \w+ :funcvariadic \w+ :funcformat [12]') AS f (hit)
    UNION
    SELECT types.oid, FALSE
    FROM nodes, pg_catalog.regexp_matches(node, ':(?:coltypes|funccoltypes) \(o ([\d ]+)\)', 'g') AS f (hit),
        pg_catalog.unnest(pg_catalog.string_to_array(f.hit[1], ' ')::oid[]) AS types (oid)
),

-- Every type of a value in the statement, with its component types. is_made says whether the statement may create a
-- value of the type, or only reads stored values. A row that is read may be built again, with all its fields.
types (oid, is_made, is_constant) AS (
    SELECT made.oid, TRUE, made.is_constant FROM made
    UNION
    SELECT f.hit[1]::oid, FALSE, FALSE
    FROM nodes, pg_catalog.regexp_matches(node, ':(?:\w*type|\w+_typeid) (\d+)', 'g') AS f (hit)
    UNION
    SELECT part.oid, part.is_made, types.is_constant
    FROM types
    JOIN pg_catalog.pg_type t ON t.oid = types.oid,
    LATERAL (
        SELECT t.typelem, types.is_made WHERE t.typelem <> 0::oid
        UNION ALL SELECT t.typbasetype, types.is_made WHERE t.typbasetype <> 0::oid
        UNION ALL SELECT a.atttypid, TRUE FROM pg_catalog.pg_attribute a
            WHERE t.typrelid <> 0::oid AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL SELECT r.rngsubtype, types.is_made FROM pg_catalog.pg_range r WHERE t.typtype = 'r' AND r.rngtypid = t.oid
        UNION ALL SELECT r.rngtypid, types.is_made FROM pg_catalog.pg_range r WHERE t.typtype = 'm' AND r.rngmultitypid = t.oid
    ) AS part (oid, is_made)
),

-- The conditions of the domains of which values are created.
conditions AS (
    SELECT c.conbin::text AS tree FROM pg_catalog.pg_constraint c
    WHERE c.contypid IN (SELECT oid FROM types WHERE is_made) AND c.contype = 'c'
),

-- The operator families by which values of these types are compared and hashed, including user-defined ones for every
-- array, enum, range or row.
families AS (
    SELECT DISTINCT c.opcfamily AS oid FROM pg_catalog.pg_opclass c
    WHERE c.oid >= 16384::oid AND c.opcmethod IN (SELECT a.oid FROM pg_catalog.pg_am a WHERE a.amname IN ('btree', 'hash'))
        AND (c.opcintype IN (SELECT oid FROM types) OR c.opcintype IN (SELECT p.oid FROM pg_catalog.pg_type p WHERE p.typtype = 'p'))
    UNION
    SELECT c.opcfamily FROM pg_catalog.pg_range r JOIN pg_catalog.pg_opclass c ON c.oid = r.rngsubopc
    WHERE c.oid >= 16384::oid AND r.rngtypid IN (SELECT oid FROM types)
),

-- Functions that PostgreSQL may call because of a type, without a node in the tree: for input and output, for
-- conversion to JSON, for comparison. Only user-defined functions can do harm here.
brought AS (
    SELECT function.oid
    FROM types JOIN pg_catalog.pg_type t ON t.oid = types.oid,
        pg_catalog.unnest(ARRAY[t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout, t.typsubscript]::oid[]) AS function (oid)
    WHERE t.oid >= 16384::oid
    UNION ALL
    SELECT c.castfunc FROM pg_catalog.pg_cast c
    WHERE c.castsource IN (SELECT oid FROM types) AND c.casttarget IN ('json'::regtype::oid, 'jsonb'::regtype::oid)
        AND (
            EXISTS (SELECT FROM nodes WHERE node ~ '^JSON\w*EXPR ')
            OR EXISTS (
                SELECT FROM nodes, pg_catalog.regexp_matches(node, ':(?:funcid|aggfnoid|winfnoid) (\d+)', 'g') AS f (hit)
                JOIN pg_catalog.pg_proc p ON p.oid = f.hit[1]::oid
                WHERE p.proname ~ '(^|_)jsonb?(_|$)'::text
            )
        )
    UNION ALL
    SELECT function.oid FROM pg_catalog.pg_range r, pg_catalog.unnest(ARRAY[r.rngcanonical, r.rngsubdiff]::oid[]) AS function (oid)
    WHERE r.rngtypid IN (SELECT oid FROM types)
    UNION ALL
    SELECT p.amproc::oid FROM pg_catalog.pg_amproc p WHERE p.amprocfamily IN (SELECT oid FROM families)
    UNION ALL
    SELECT o.oprcode::oid FROM pg_catalog.pg_amop p JOIN pg_catalog.pg_operator o ON o.oid = p.amopopr WHERE p.amopfamily IN (SELECT oid FROM families)
),

all_nodes AS (
    SELECT node, TRUE AS is_statement FROM nodes
    UNION ALL SELECT node, FALSE FROM conditions, pg_catalog.string_to_table(pg_catalog.replace(tree, '\{', '\['), '{') AS node
),

-- Functions, by the kind of node that calls them. Only calls of format 0 are written as calls in the text; the others
-- are casts. Functions that sort and group come with the type, like those without a node.
called AS (
    SELECT f.hit[1]::oid AS oid, is_statement AND f.hit[2] = '0' AS is_named, FALSE AS is_implied_by_type
    FROM all_nodes,
        pg_catalog.regexp_matches(node, '^FUNCEXPR :funcid (\d+) :funcresulttype \d+ :funcretset \w+ :funcvariadic \w+ :funcformat (\d+)') AS f (hit)
    UNION ALL
    SELECT f.hit[1]::oid, is_statement, FALSE
    FROM all_nodes, pg_catalog.regexp_matches(node, ':(?:aggfnoid|winfnoid) (\d+)', 'g') AS f (hit)
    UNION ALL
    SELECT f.hit[1]::oid, FALSE, FALSE
    FROM all_nodes,
        pg_catalog.regexp_matches(node, ':(?:funcid|opfuncid|hashfuncid|negfuncid|elemfuncid|startInRangeFunc|endInRangeFunc) (\d+)', 'g') AS f (hit)
    WHERE f.hit[1] <> '0'
    UNION ALL
    SELECT o.oprcode::oid, FALSE, f.hit[1] <> 'opno'
    FROM all_nodes, pg_catalog.regexp_matches(node, ':(opno|eqop|sortop) (\d+)', 'g') AS f (hit)
    JOIN pg_catalog.pg_operator o ON o.oid = f.hit[2]::oid
    UNION ALL
    SELECT o.oprcode::oid, FALSE, FALSE
    FROM all_nodes, pg_catalog.regexp_matches(node, ':opnos \(o ([\d ]+)\)', 'g') AS f (hit),
        pg_catalog.unnest(pg_catalog.string_to_array(f.hit[1], ' ')::oid[]) AS operators (oid)
    JOIN pg_catalog.pg_operator o ON o.oid = operators.oid
    UNION ALL
    SELECT oid, FALSE, TRUE FROM brought WHERE oid >= 16384::oid
),

-- An aggregate is never volatile itself, but its support functions may be.
parts AS (
    SELECT oid, is_named, is_implied_by_type FROM called
    UNION ALL
    SELECT part.oid, FALSE, FALSE
    FROM called
    JOIN pg_catalog.pg_aggregate a ON a.aggfnoid::oid = called.oid,
        pg_catalog.unnest(ARRAY[
            a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn,
            a.aggmfinalfn
        ]::oid[]) AS part (oid)
),

functions AS (
    SELECT
        n.nspname AS schema, p.proname AS name, pg_catalog.bool_or(p.provolatile = 'v') AS is_volatile,
        pg_catalog.bool_or(p.prosecdef) AS is_security_definer, pg_catalog.bool_or(parts.is_named) AS is_named,
        pg_catalog.bool_and(parts.is_implied_by_type) AS is_implied_by_type,
        pg_catalog.bool_and(p.oid < 16384::oid) AS is_built_in, pg_catalog.bool_or(
            -- An aggregate has no language, and PostgreSQL itself creates the constructor functions of a range type.
            p.oid >= 16384::oid AND NOT l.lanpltrusted AND p.prokind <> 'a' AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_depend d
                WHERE d.classid = 'pg_catalog.pg_proc'::regclass::oid AND d.objid = p.oid AND d.refclassid = 'pg_catalog.pg_type'::regclass::oid AND d.deptype = 'i'
            )
        ) AS is_untrusted,
        pg_catalog.min(e.extname) AS extension
    FROM parts
    JOIN pg_catalog.pg_proc p ON p.oid = parts.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    LEFT JOIN pg_catalog.pg_depend d ON p.oid >= 16384::oid AND d.classid = 'pg_catalog.pg_proc'::regclass::oid AND d.objid = p.oid AND d.deptype = 'e'
    LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    GROUP BY n.nspname, p.proname
),

relations AS (
    SELECT DISTINCT c.oid, n.nspname, c.relname
    FROM nodes, pg_catalog.regexp_matches(node, ':relid (\d+)', 'g') AS f (hit)
    JOIN pg_catalog.pg_class c ON c.oid = f.hit[1]::oid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid <> $3::oid
),

-- The types of created values, arrays by their elements. A constant compared with a column has the type of the
-- column.
types_made AS (
    SELECT DISTINCT n.nspname AS schema, t.typname AS name, t.oid < 16384::oid AS is_built_in
    FROM made
    JOIN pg_catalog.pg_type m ON m.oid = made.oid
    LEFT JOIN pg_catalog.pg_type e ON e.oid = m.typelem AND e.typarray = m.oid
    JOIN pg_catalog.pg_type t ON t.oid = coalesce(e.oid, m.oid)
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE NOT EXISTS (SELECT FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid WHERE a.atttypid IN (m.oid, t.oid))
),

-- PostgreSQL lists the columns for which it checks the privilege, as their numbers plus 7: in the entry of the relation, since
-- version 16 in an entry of its own. Both have the list after the relation, and before the next one.
columns_read AS (
    SELECT DISTINCT a.attrelid, a.attnum, a.attname
    FROM resolved, pg_catalog.string_to_table(tree, ':relid ') AS entry,
        pg_catalog.string_to_table(pg_catalog.btrim(pg_catalog.split_part(pg_catalog.split_part(entry, ':selectedCols (b', 2), ')', 1)), ' ') AS selected
    JOIN pg_catalog.pg_attribute a ON a.attnum = CASE WHEN selected <> '' THEN selected::integer - 7 END
    WHERE a.attnum > 0 AND a.attrelid = CASE WHEN entry ~ '^\d'::text THEN pg_catalog.split_part(entry, ' ', 1)::oid END
),

tables AS (
    SELECT
        r.nspname AS schema, r.relname AS name, pg_catalog.pg_table_is_visible(r.oid) AS is_visible,
        ARRAY(SELECT c.attname::text FROM columns_read c WHERE c.attrelid = r.oid ORDER BY c.attnum) AS columns,
        coalesce((
            SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', a.attname, 'type', pg_catalog.format_type(a.atttypid, NULL)) ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
                AND a.atttypid IN ('date'::regtype::oid, 'timestamp'::regtype::oid, 'timestamptz'::regtype::oid)
        ), '[]') AS time_columns
    FROM relations r
),

-- Constructs that read the identity of the session (the operations after those of the clock), create XML, or lock
-- rows.
forbidden_constructs AS (
    SELECT 'user, role, schema or catalog of the session' AS word
    FROM nodes, pg_catalog.regexp_matches(node, '^SQLVALUEFUNCTION :op (\d+)') AS f (hit) WHERE f.hit[1]::integer > 8
    UNION SELECT 'xml' FROM nodes WHERE node ~ '^XMLEXPR|^TABLEFUNC :functype 0|^TABLEFUNC :ns_uris'
    UNION SELECT 'a locking clause' FROM nodes WHERE node ~ ':hasForUpdate true'
    -- A view is refused for it.
    UNION SELECT 'a statement that changes data' FROM nodes WHERE node ~ '^QUERY :commandType [^1]'
),

-- Kinds of nodes that are unknown here, as a later version of PostgreSQL may have: the functions that they call are
-- not searched. The list has all kinds in the rule of a SELECT in the versions 15 to 18.
unknown_nodes AS (
    SELECT DISTINCT f.hit[1] AS kind
    FROM all_nodes, pg_catalog.regexp_matches(node, '^[^\s(){}]+') AS f (hit)
    WHERE f.hit[1] <> ALL (ARRAY[
        'AGGREF', 'ALIAS', 'ARRAYCOERCEEXPR', 'ARRAYEXPR', 'BOOLEANTEST', 'BOOLEXPR', 'CASEEXPR', 'CASETESTEXPR', 'CASEWHEN',
        'COALESCEEXPR', 'COERCETODOMAIN', 'COERCETODOMAINVALUE', 'COERCEVIAIO', 'COLLATEEXPR', 'COMMONTABLEEXPR', 'CONST',
        'CONVERTROWTYPEEXPR', 'CTECYCLECLAUSE', 'CTESEARCHCLAUSE', 'DISTINCTEXPR', 'FIELDSELECT', 'FIELDSTORE', 'FROMEXPR',
        'FUNCEXPR', 'GROUPINGFUNC', 'GROUPINGSET', 'JOINEXPR', 'JSONBEHAVIOR', 'JSONCONSTRUCTOREXPR', 'JSONEXPR', 'JSONFORMAT',
        'JSONISPREDICATE', 'JSONRETURNING', 'JSONTABLEPATH', 'JSONTABLEPATHSCAN', 'JSONTABLESIBLINGJOIN', 'JSONVALUEEXPR',
        'MINMAXEXPR', 'NAMEDARGEXPR', 'NULLIFEXPR', 'NULLTEST', 'OPEXPR', 'PARAM', 'QUERY', 'RANGETBLENTRY', 'RANGETBLFUNCTION',
        'RANGETBLREF', 'RELABELTYPE', 'ROWCOMPAREEXPR', 'ROWEXPR', 'ROWMARKCLAUSE', 'RTEPERMISSIONINFO', 'SCALARARRAYOPEXPR',
        'SETOPERATIONSTMT', 'SORTGROUPCLAUSE', 'SQLVALUEFUNCTION', 'SUBLINK', 'SUBSCRIPTINGREF', 'TABLEFUNC',
        'TABLESAMPLECLAUSE', 'TARGETENTRY', 'VAR', 'WINDOWCLAUSE', 'WINDOWFUNC', 'XMLEXPR'
    ])
),

-- Anything that makes the result depend on more than rows and parameters.
unrepeatable AS (
    -- A function that depends on more than its arguments. The named exceptions also depend on settings that are the
    -- same in every session that runs metrics, on the time zone, which is part of a request, or on the definition of a
    -- type, which changes in a transaction.
    SELECT FROM parts
    JOIN pg_catalog.pg_proc p ON p.oid = parts.oid
    WHERE p.pronamespace <> 'pg_catalog'::regnamespace::oid
        -- PostgreSQL declares it immutable, but it reads `quote_all_identifiers`.
        OR p.proname = 'quote_ident'
        -- A value is converted to JSON by its cast to json, which the tree does not show.
        OR p.proname ~ '(^|_)jsonb?(_|$)'::text AND EXISTS (SELECT FROM pg_catalog.pg_cast c WHERE c.oid >= 16384::oid)
        OR p.provolatile <> 'i' AND NOT (p.provolatile = 's' AND p.proname IN (
            'array_to_json', 'array_to_string', 'concat', 'concat_ws', 'anytextcat', 'textanycat', 'quote_literal',
            'quote_nullable', 'enum_first', 'enum_last', 'enum_range',
            'json_agg', 'json_build_array', 'json_build_object', 'json_object_agg', 'jsonb_agg', 'jsonb_build_array',
            'jsonb_build_object', 'jsonb_object_agg', 'row_to_json', 'to_json', 'to_jsonb', 'json_agg_transfn',
            'json_object_agg_transfn', 'jsonb_agg_transfn', 'jsonb_object_agg_transfn', 'json_agg_finalfn',
            'json_object_agg_finalfn', 'jsonb_agg_finalfn', 'jsonb_object_agg_finalfn',
            'date', 'time', 'timestamp', 'timestamptz', 'date_part', 'date_trunc', 'extract', 'generate_series',
            'make_timestamptz', 'overlaps', 'timezone',
            'timestamptz_pl_interval', 'timestamptz_mi_interval', 'interval_pl_timestamptz',
            'date_eq_timestamptz', 'date_ne_timestamptz', 'date_lt_timestamptz', 'date_le_timestamptz',
            'date_gt_timestamptz', 'date_ge_timestamptz', 'timestamptz_eq_date', 'timestamptz_ne_date',
            'timestamptz_lt_date', 'timestamptz_le_date', 'timestamptz_gt_date', 'timestamptz_ge_date',
            'timestamp_eq_timestamptz', 'timestamp_ne_timestamptz', 'timestamp_lt_timestamptz',
            'timestamp_le_timestamptz', 'timestamp_gt_timestamptz', 'timestamp_ge_timestamptz',
            'timestamptz_eq_timestamp', 'timestamptz_ne_timestamp', 'timestamptz_lt_timestamp',
            'timestamptz_le_timestamp', 'timestamptz_gt_timestamp', 'timestamptz_ge_timestamp'
        ))
    -- The clock, a sample, and nodes that convert texts by the input function of a type.
    UNION ALL
    SELECT FROM nodes
    WHERE node ~ '^(SQLVALUEFUNCTION|COERCETODOMAIN|TABLESAMPLECLAUSE|TABLEFUNC|JSONEXPR|JSONCONSTRUCTOREXPR|NEXTVALUEEXPR)'
    -- A system column, which concurrent transactions change before they commit.
    UNION ALL
    SELECT FROM nodes WHERE node ~ '^VAR :varno -?\d+ :varattno -'
    -- Money is printed by a setting that is not fixed here; a time with time zone depends on the date.
    UNION ALL
    SELECT FROM nodes, pg_catalog.regexp_matches(node, ':(?:consttype|resulttype|funcresulttype|vartype|opresulttype) (\d+)', 'g') AS f (hit)
    WHERE f.hit[1]::oid IN ('money'::regtype::oid, 'money[]'::regtype::oid, 'timetz'::regtype::oid, 'timetz[]'::regtype::oid)
    -- A cast of a text calls the input function of the new type: those of dates and times accept words for the clock.
    UNION ALL
    SELECT FROM nodes, pg_catalog.regexp_matches(node, ':resulttype (\d+)', 'g') AS f (hit)
    JOIN pg_catalog.pg_type t ON t.oid = f.hit[1]::oid
    JOIN pg_catalog.pg_proc p ON p.oid = t.typinput::oid
    WHERE EXISTS (SELECT FROM nodes WHERE node ~ '^COERCEVIAIO') AND (p.provolatile <> 'i' OR t.typnamespace <> 'pg_catalog'::regnamespace::oid)
)

SELECT pg_catalog.jsonb_build_object(
    'is_repeatable', NOT EXISTS (SELECT FROM unrepeatable),
    'columns', coalesce((
        SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
            'type', pg_catalog.format_type((c.origin ->> 0)::oid, NULL),
            'description', pg_catalog.col_description((c.origin ->> 1)::oid, (c.origin ->> 2)::integer),
            'source', (
                SELECT pg_catalog.jsonb_build_object('schema', n.nspname, 'table', r.relname, 'column', a.attname)
                FROM pg_catalog.pg_attribute a
                JOIN pg_catalog.pg_class r ON r.oid = a.attrelid
                JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
                WHERE a.attrelid = (c.origin ->> 1)::oid AND a.attnum = (c.origin ->> 2)::integer
            )
        ) ORDER BY c.number)
        FROM pg_catalog.jsonb_array_elements($2::text::jsonb) WITH ORDINALITY AS c (origin, number)
    ), '[]'),
    'tables', coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t) ORDER BY t.schema, t.name) FROM tables t), '[]'),
    'functions', coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(f) ORDER BY f.schema, f.name) FROM functions f), '[]'),
    'types', coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t) ORDER BY t.schema, t.name) FROM types_made t), '[]'),
    'has_time_constants', EXISTS (
        SELECT FROM types
        WHERE is_constant AND oid IN ('date'::regtype::oid, 'time'::regtype::oid, 'timetz'::regtype::oid, 'timestamp'::regtype::oid, 'timestamptz'::regtype::oid)
    ),
    'unknown_nodes', coalesce((SELECT pg_catalog.jsonb_agg(u.kind ORDER BY u.kind) FROM unknown_nodes u), '[]'),
    'forbidden_constructs', coalesce((SELECT pg_catalog.jsonb_agg(s.word ORDER BY s.word) FROM forbidden_constructs s), '[]')
)::text AS resolved_query
