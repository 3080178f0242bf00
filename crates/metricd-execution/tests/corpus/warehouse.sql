-- A small business for the tests of stored SQL: shops' customers, orders and their lines, events of a product, sensors, and
-- documents. Expects the schema `warehouse` with its table `metrics`. The same rows every time.
SET search_path = warehouse, pg_temp;

CREATE TYPE order_status AS ENUM ('new', 'paid', 'shipped', 'returned');

CREATE DOMAIN amount AS numeric(12, 2) CONSTRAINT amount_sign_check CHECK (VALUE >= 0);

CREATE TYPE dimensions AS (width numeric, height numeric);

CREATE TABLE customers (
    customer_id integer NOT NULL,
    name text NOT NULL,
    email text,
    country text NOT NULL,
    referrer_id integer,
    tags text[] NOT NULL DEFAULT '{}',
    address inet,
    created_at timestamptz NOT NULL,
    CONSTRAINT customers_pkey PRIMARY KEY (customer_id)
);

CREATE TABLE orders (
    order_id integer NOT NULL,
    customer_id integer,
    status order_status NOT NULL,
    total amount NOT NULL,
    ordered_on date NOT NULL,
    delivery daterange,
    CONSTRAINT orders_pkey PRIMARY KEY (order_id),
    CONSTRAINT orders_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (customer_id)
);

CREATE INDEX orders_ordered_on_idx ON orders (ordered_on);

CREATE TABLE order_lines (
    order_id integer NOT NULL,
    line_no integer NOT NULL,
    sku text NOT NULL,
    quantity integer NOT NULL,
    unit_price amount NOT NULL,
    size dimensions,
    CONSTRAINT order_lines_pkey PRIMARY KEY (order_id, line_no),
    CONSTRAINT order_lines_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders (order_id)
);

CREATE TABLE events (
    event_id uuid NOT NULL,
    customer_id integer,
    kind text NOT NULL,
    happened_at timestamptz NOT NULL,
    payload jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT events_pkey PRIMARY KEY (event_id)
);

CREATE INDEX events_happened_at_idx ON events (happened_at);

CREATE TABLE documents (
    document_id integer NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    attributes jsonb NOT NULL,
    CONSTRAINT documents_pkey PRIMARY KEY (document_id)
);

-- Partitioned by month, with times that have no zone.
CREATE TABLE readings (
    sensor text NOT NULL,
    taken_at timestamp NOT NULL,
    temperature double precision,
    pressure real
) PARTITION BY RANGE (taken_at);

CREATE TABLE readings_2025_01 PARTITION OF readings FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
CREATE TABLE readings_2025_02 PARTITION OF readings FOR VALUES FROM ('2025-02-01') TO ('2025-03-01');

-- Names that need their quotes.
CREATE TABLE "Größen" (
    "Artikel-Nr" integer NOT NULL,
    "Länge (cm)" numeric NOT NULL,
    "select" text NOT NULL
);

-- A hierarchy for recursive queries.
CREATE TABLE categories (
    category_id integer NOT NULL,
    parent_id integer,
    title text NOT NULL,
    CONSTRAINT categories_pkey PRIMARY KEY (category_id)
);

INSERT INTO customers (customer_id, name, email, country, referrer_id, tags, address, created_at)
SELECT
    n,
    (ARRAY['Ada', 'Bořek', 'Chloé', 'Đorđe', 'Eve', 'Фёдор'])[1 + n % 6] || ' ' || n,
    CASE WHEN n % 5 <> 0 THEN 'customer' || n || '@example.com' END,
    (ARRAY['DE', 'FR', 'US', 'JP'])[1 + n % 4],
    CASE WHEN n > 3 THEN n / 3 END,
    (ARRAY['{vip,newsletter}', '{newsletter}', '{}'])[1 + n % 3]::text[],
    ('192.168.' || n % 3 || '.' || n)::inet,
    timestamptz '2024-06-01 08:00:00+00' + n * interval '3 days 5 hours'
FROM generate_series(1, 24) AS n;

INSERT INTO orders (order_id, customer_id, status, total, ordered_on, delivery)
SELECT
    n,
    CASE WHEN n % 11 <> 0 THEN 1 + n * 7 % 20 END,
    (ARRAY['new', 'paid', 'shipped', 'returned']::order_status[])[1 + n % 4],
    (n * 37 % 400) + 9.99,
    date '2025-01-01' + n * 2 % 59,
    CASE WHEN n % 4 = 2 THEN daterange(date '2025-01-03' + n * 2 % 59, date '2025-01-08' + n * 2 % 59) END
FROM generate_series(1, 48) AS n;

INSERT INTO order_lines (order_id, line_no, sku, quantity, unit_price, size)
SELECT
    order_id,
    line_no,
    'SKU-' || lpad((order_id * 3 % 9 + line_no)::text, 3, '0'),
    1 + (order_id + line_no) % 5,
    (order_id * line_no * 13 % 90) + 0.5,
    CASE WHEN line_no = 1 THEN ROW(order_id % 10 + 1, line_no * 2.5)::dimensions END
FROM generate_series(1, 48) AS order_id, generate_series(1, 3) AS line_no
WHERE line_no <= 1 + order_id % 3;

INSERT INTO events (event_id, customer_id, kind, happened_at, payload)
SELECT
    md5('event ' || n)::uuid,
    CASE WHEN n % 9 <> 0 THEN 1 + n * 5 % 24 END,
    (ARRAY['view', 'view', 'search', 'cart', 'purchase'])[1 + n % 5],
    timestamptz '2025-01-06 09:00:00+00' + n * interval '97 minutes',
    jsonb_build_object(
        'page', '/p/' || n % 7,
        'ms', n * 31 % 500,
        'items', CASE WHEN n % 5 = 4 THEN jsonb_build_array(jsonb_build_object('sku', 'SKU-00' || n % 9, 'qty', n % 3 + 1)) ELSE '[]' END
    )
FROM generate_series(1, 60) AS n;

INSERT INTO documents (document_id, title, body, attributes)
SELECT
    n,
    'Report ' || n,
    (ARRAY[
        'The quick brown fox jumps over the lazy dog',
        'Parts that reach their end of life are flagged early',
        'Sensors report temperature and pressure every hour',
        'Customers return parts that arrive damaged'
    ])[1 + n % 4],
    jsonb_build_object('author', (ARRAY['ada', 'eve', 'bob'])[1 + n % 3], 'pages', n * 3, 'labels', to_jsonb(ARRAY['l' || n % 2, 'l' || n % 5]))
FROM generate_series(1, 20) AS n;

INSERT INTO readings (sensor, taken_at, temperature, pressure)
SELECT
    's' || n % 3,
    timestamp '2025-01-25 00:00:00' + n * interval '6 hours',
    CASE WHEN n % 13 <> 0 THEN 18 + 5 * sin(n) END,
    1000 + n % 20
FROM generate_series(1, 60) AS n;

INSERT INTO "Größen" ("Artikel-Nr", "Länge (cm)", "select")
SELECT n, n * 1.5, 'x' || n FROM generate_series(1, 24) AS n;

INSERT INTO categories (category_id, parent_id, title)
SELECT n, CASE WHEN n > 1 THEN n / 2 END, 'Category ' || n FROM generate_series(1, 24) AS n;

INSERT INTO metrics (id, date, obsolescence, alert_type, parts_flagged, obsolescence_val, alert_category)
SELECT
    (ARRAY['parts-flagged', 'cost-avoided', 'alerts-by-type'])[1 + n % 3],
    date '2025-01-01' + n / 3,
    CASE WHEN n % 3 = 1 THEN n * 12.34 END,
    CASE WHEN n % 3 = 2 THEN (ARRAY['End of life', 'Shortage', 'Price'])[1 + n % 5 % 3] END,
    CASE WHEN n % 3 = 0 THEN n % 17 END,
    CASE WHEN n % 6 = 1 THEN n * 1.5 END,
    CASE WHEN n % 3 = 2 THEN (ARRAY['Resolved', 'Open'])[1 + n % 2] END
FROM generate_series(1, 180) AS n;

CREATE VIEW revenue_by_day AS
SELECT ordered_on AS day, count(*) AS orders, sum(total) AS revenue FROM orders WHERE status <> 'returned' GROUP BY ordered_on;

CREATE MATERIALIZED VIEW sku_totals AS
SELECT sku, sum(quantity) AS quantity, sum(quantity * unit_price) AS revenue FROM order_lines GROUP BY sku;

-- Functions that stored SQL may call: not volatile, with the rights of the caller.
CREATE FUNCTION net_amount(gross numeric, rate numeric DEFAULT 0.19) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT round(gross / (1 + rate), 2) $$;

CREATE FUNCTION orders_of(customer integer) RETURNS SETOF orders
LANGUAGE sql STABLE AS $$ SELECT * FROM warehouse.orders WHERE customer_id = customer $$;

CREATE FUNCTION revenue_between(first_day date, last_day date) RETURNS TABLE (day date, revenue numeric)
LANGUAGE sql STABLE AS $$
    SELECT ordered_on, sum(total)::numeric FROM warehouse.orders WHERE ordered_on BETWEEN first_day AND last_day GROUP BY ordered_on
$$;

-- Functions that it must not call.
CREATE FUNCTION jitter(value numeric) RETURNS numeric
LANGUAGE sql VOLATILE AS $$ SELECT value * (1 + random()::numeric / 100) $$;

CREATE FUNCTION owner_secret() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT sql FROM catalog.queries LIMIT 1 $$;

-- Reached as if it was a column: `orders.audit` calls it.
CREATE FUNCTION audit(row_seen orders) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT 'seen ' || (row_seen).order_id $$;

-- Has the name of a function that is allowed, and is the better match for an order's status.
CREATE FUNCTION initcap(value order_status) RETURNS text
LANGUAGE sql VOLATILE AS $$ SELECT 'status ' || value::text $$;

-- Behind an operator.
CREATE FUNCTION probe(value integer, other integer) RETURNS boolean
LANGUAGE sql VOLATILE AS $$ SELECT value = other $$;

CREATE OPERATOR === (FUNCTION = probe, LEFTARG = integer, RIGHTARG = integer);

-- An aggregate whose transition is volatile.
CREATE FUNCTION noisy_add(state numeric, value numeric) RETURNS numeric
LANGUAGE sql VOLATILE AS $$ SELECT state + value + random()::numeric $$;

CREATE AGGREGATE noisy_sum (numeric) (SFUNC = noisy_add, STYPE = numeric, INITCOND = '0');

-- A cast that runs a volatile function.
CREATE TYPE badge AS (label text);

CREATE FUNCTION badge_of(value integer) RETURNS badge
LANGUAGE sql VOLATILE AS $$ SELECT ROW('badge ' || value)::warehouse.badge $$;

CREATE CAST (integer AS badge) WITH FUNCTION badge_of (integer);

CREATE SEQUENCE ticket_seq;

ANALYZE;
