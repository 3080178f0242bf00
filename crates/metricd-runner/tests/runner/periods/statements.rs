//! Statements with windows, joins, aggregates and others, each with what a period does to it.

/// SQL, each with what a period does to it by default, or with a part of the reason why it does nothing. The time column
/// is `sales.day`, unless the SQL reads only another table.
pub(super) const STATEMENTS: &[(&str, &str)] = &[
    // What can be run on a part of the source.
    ("SELECT count(*) AS n FROM sales", "narrowed sales"),
    ("SELECT count(*) AS n FROM warehouse.sales", "narrowed sales"),
    ("SELECT * FROM sales ORDER BY id", "narrowed sales"),
    ("SELECT s.* FROM sales AS s ORDER BY id", "narrowed sales"),
    ("TABLE sales ORDER BY id, day", "narrowed sales"),
    ("TABLE ONLY sales ORDER BY id", "narrowed sales"),
    ("SELECT count(*) AS n FROM ONLY sales", "narrowed sales"),
    ("SELECT count(*) AS n FROM ONLY (sales)", "narrowed sales"),
    ("SELECT count(*) AS n FROM only ( warehouse.sales ) AS s", "narrowed sales"),
    ("TABLE ONLY (sales) ORDER BY id", "narrowed sales"),
    ("SELECT count(*) AS n FROM sales *", "narrowed sales"),
    ("SELECT count(*) AS n FROM shops, warehouse.sales * AS s", "narrowed sales"),
    ("SELECT count(*) AS n FROM shops JOIN sales * s USING (kind)", "narrowed sales"),
    ("TABLE sales * ORDER BY id, day", "narrowed sales"),
    ("SELECT a, b FROM sales AS s (a, b) ORDER BY a", "narrowed sales"),
    ("SELECT day, sum(amount) AS total FROM sales GROUP BY day ORDER BY day", "narrowed sales"),
    ("SELECT kind, avg(amount) AS mean FROM sales GROUP BY kind HAVING count(*) > 2 ORDER BY 1", "narrowed sales"),
    ("SELECT DISTINCT kind FROM sales ORDER BY kind", "narrowed sales"),
    ("SELECT more, count(*) AS n FROM sales GROUP BY more HAVING more > 1 ORDER BY more", "narrowed sales"),
    (
        "SELECT amount + 1 AS next, GROUPING(kind) AS g FROM sales GROUP BY ROLLUP (amount + 1, kind) ORDER BY 1, 2",
        "narrowed sales",
    ),
    (
        "SELECT name, sum(amount) AS total FROM shops JOIN sales USING (kind) GROUP BY name ORDER BY name",
        "narrowed sales",
    ),
    ("SELECT * FROM shops NATURAL JOIN sales ORDER BY id", "narrowed sales"),
    ("SELECT kind, id, x.kind AS again FROM sales JOIN shops USING (kind) AS x ORDER BY id", "narrowed sales"),
    (
        "SELECT name, id FROM shops FULL JOIN sales ON sales.kind = shops.kind AND id < 5 ORDER BY id, name",
        "narrowed sales",
    ),
    ("SELECT a.id, b.id AS other FROM sales a JOIN sales b ON a.id = b.id + 1 ORDER BY a.id", "narrowed sales"),
    // Joins of a table of which some columns are not read: an alias hides what it joins, also one within another.
    ("SELECT j.id, j.name FROM (shops JOIN sales USING (kind)) AS j ORDER BY 1, 2", "narrowed sales"),
    ("SELECT j.id, j.name FROM (sales JOIN shops USING (kind)) AS j ORDER BY 1, 2", "narrowed sales"),
    (
        "SELECT j.id, kind, s.name FROM (sales a LEFT JOIN shops b USING (kind)) AS j FULL JOIN shops s USING (kind) ORDER BY 1, 2, 3",
        "narrowed sales",
    ),
    (
        "SELECT k.v, k.name FROM ((shops a JOIN sales b USING (kind)) AS j (p, q, r, s, t, u, v) JOIN shops c ON c.shop_id = j.s) AS k ORDER BY 1, 2",
        "narrowed sales",
    ),
    (
        "SELECT j.c1, j.c5 FROM (sales JOIN shops USING (kind)) AS j (c1, c2, c3, c4, c5) ORDER BY 1, 2",
        "narrowed sales",
    ),
    ("SELECT p, c FROM sales AS s (p, q, c) JOIN shops ON shop_id = p ORDER BY 1", "narrowed sales"),
    ("SELECT kind, count(tags) AS n FROM sales NATURAL JOIN shops GROUP BY kind ORDER BY 1", "narrowed sales"),
    ("SELECT b.* FROM sales a JOIN shops b ON b.shop_id = a.id ORDER BY 1", "narrowed sales"),
    (
        "SELECT j.* FROM (shops JOIN (SELECT amount FROM sales) AS s ON amount = shop_id) AS j ORDER BY 1, 4",
        "narrowed sales",
    ),
    (
        "SELECT (SELECT max(j.n) FROM (sales a JOIN sales b USING (id)) AS j (id, d, n) WHERE j.id > shop_id) AS m FROM shops ORDER BY 1",
        "narrowed sales",
    ),
    ("SELECT warehouse.sales.id FROM warehouse.sales WHERE warehouse.sales.amount > 1 ORDER BY 1", "narrowed sales"),
    (
        "SELECT warehouse.shops.name, sales.id FROM warehouse.shops, sales WHERE shop_id = id ORDER BY id",
        "narrowed sales",
    ),
    ("WITH s AS (TABLE sales) SELECT count(*) AS n FROM s", "narrowed sales"),
    ("WITH sales AS (SELECT * FROM sales WHERE amount > 1) SELECT count(*) AS n FROM sales", "narrowed sales"),
    ("WITH sales AS (SELECT 1 AS one) SELECT count(*) AS n FROM sales, warehouse.sales AS s", "narrowed sales"),
    (
        "SELECT name, (SELECT max(amount) FROM sales WHERE sales.kind = shops.kind) AS most FROM shops ORDER BY 1",
        "narrowed sales",
    ),
    (
        "SELECT name FROM shops WHERE EXISTS (SELECT FROM sales s WHERE s.kind = shops.kind AND s.id > 12)",
        "narrowed sales",
    ),
    (
        "SELECT name, l.n FROM shops, LATERAL (SELECT count(*) AS n FROM sales WHERE kind = shops.kind) l ORDER BY 1",
        "narrowed sales",
    ),
    (
        "SELECT id FROM sales WHERE amount > ALL (SELECT amount FROM sales WHERE kind = 'b' AND id < 3) ORDER BY id",
        "narrowed sales",
    ),
    ("SELECT id AS n FROM sales WHERE kind = 'a' UNION ALL SELECT shop_id FROM shops ORDER BY 1", "narrowed sales"),
    ("SELECT id FROM sales EXCEPT SELECT id FROM sales WHERE kind = 'a' ORDER BY 1", "narrowed sales"),
    ("SELECT kind, day, count(*) AS n FROM sales GROUP BY ROLLUP (kind, day) ORDER BY 1, 2, 3", "narrowed sales"),
    (
        "SELECT grouping(kind) AS g, sum(amount) FILTER (WHERE id > 3) AS n FROM sales GROUP BY GROUPING SETS ((kind), ()) ORDER BY 1, 2",
        "narrowed sales",
    ),
    ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) AS middle FROM sales", "narrowed sales"),
    ("SELECT string_agg(kind, ',' ORDER BY id) AS kinds FROM sales", "narrowed sales"),
    ("SELECT id, t FROM sales, unnest(tags) AS t ORDER BY id", "narrowed sales"),
    (
        "SELECT d::date AS day, count(id) AS n FROM generate_series(date '2025-06-01', date '2025-06-15', interval '1 day') AS d LEFT JOIN sales ON sales.day = d GROUP BY 1 ORDER BY 1",
        "narrowed sales",
    ),
    (
        "SELECT id, row_number FROM sales JOIN (SELECT shop_id, row_number() OVER (ORDER BY name) FROM shops) s ON shop_id = id ORDER BY 1",
        "narrowed sales",
    ),
    (
        "SELECT id FROM sales WHERE kind IN (SELECT kind FROM shops ORDER BY shop_id LIMIT 1) ORDER BY id",
        "narrowed sales",
    ),
    (
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i, count(id) AS c FROM n LEFT JOIN sales ON amount = i GROUP BY i ORDER BY i",
        "narrowed sales",
    ),
    ("SELECT count(*) AS n FROM good_sales", "narrowed good_sales"),
    ("SELECT day, amount FROM good_sales g ORDER BY day, amount", "narrowed good_sales"),
    ("SELECT id, at FROM visits ORDER BY id", "narrowed visits"),
    (
        "SELECT date_trunc('week', at) AS week, count(*) AS n FROM warehouse.visits v GROUP BY 1 ORDER BY 1",
        "narrowed visits",
    ),
    ("SELECT id FROM AUFTRÄGE ORDER BY id", "auftrÄge"),
    ("SELECT id FROM \"AUFTRÄGE\" ORDER BY id", "narrowed AUFTRÄGE"),
    ("SELECT count(*) AS n FROM STOCK", "narrowed stock"),
    ("WITH stoc\u{212a} AS (SELECT 1 AS one) SELECT count(*) AS n FROM stock, stoc\u{212a}", "narrowed stock"),
    ("WITH STOCK AS (SELECT 1 AS day) SELECT count(*) AS n FROM stock, warehouse.stock AS s", "narrowed stock"),
    // What is another statement on a part of the source.
    (
        "SELECT count(*) AS n, sum((SELECT count(*) FROM (VALUES ('a')) AS sales (kind) WHERE sales.kind = warehouse.sales.kind)) AS m FROM warehouse.sales",
        "in another way",
    ),
    ("SELECT count(s) AS n FROM sales s", "whole rows"),
    ("SELECT row_to_json(sales) AS row FROM sales ORDER BY id", "whole rows"),
    ("SELECT s.doubled AS n FROM sales s ORDER BY id", "whole rows"),
    ("SELECT doubled(s) AS n FROM sales s ORDER BY id", "whole rows"),
    ("SELECT s.label AS n FROM sales s ORDER BY id", "whole rows"),
    ("SELECT label(s) AS n FROM sales s ORDER BY id", "whole rows"),
    ("SELECT tableoid::bigint AS t, count(*) AS n FROM sales GROUP BY 1", "PostgreSQL says"),
    (
        "SELECT name, (SELECT ctid::text FROM ONLY sales WHERE id = shop_id) AS c FROM shops ORDER BY 1",
        "in another way",
    ),
    ("SELECT id, kind FROM sales GROUP BY id ORDER BY id", "PostgreSQL says"),
    ("SELECT count(*) AS n FROM sales TABLESAMPLE BERNOULLI (100) REPEATABLE (1)", "PostgreSQL says"),
    // What is about other rows: the result is filtered where one of its columns is the time.
    ("SELECT day, sum(amount) OVER (ORDER BY day, id) AS total FROM sales ORDER BY day, id", "result day"),
    ("SELECT day AS d, amount - lag(amount) OVER (ORDER BY day, id) AS change FROM sales ORDER BY day, id", "result d"),
    (
        "SELECT d.day, d.mean FROM (SELECT day, avg(amount) OVER (ORDER BY day ROWS 6 PRECEDING) AS mean FROM sales WHERE id < 100) d ORDER BY day",
        "result day",
    ),
    (
        "WITH w AS (SELECT *, rank() OVER (ORDER BY amount, id) AS place FROM sales) SELECT day, place FROM w ORDER BY place",
        "result day",
    ),
    ("SELECT DISTINCT ON (kind) kind, day, id FROM sales ORDER BY kind, day DESC, id", "result day"),
    ("SELECT day, id FROM sales ORDER BY amount DESC, id LIMIT 4", "result day"),
    ("SELECT day, id FROM sales ORDER BY amount DESC, id OFFSET 2", "result day"),
    ("SELECT day, id FROM sales ORDER BY id FETCH FIRST 3 ROWS ONLY", "result day"),
    (
        "SELECT s.id, s.day, p.amount FROM sales s, LATERAL (SELECT amount FROM sales b WHERE b.id < s.id ORDER BY id DESC LIMIT 1) p ORDER BY id",
        "result day",
    ),
    (
        "SELECT a.day AS other, b.day, sum(b.id) OVER (ORDER BY b.id, a.id) AS n FROM sales a JOIN sales b ON a.id = b.id - 1 ORDER BY b.id",
        "result day",
    ),
    (
        "WITH RECURSIVE r AS (SELECT id, day FROM ONLY sales WHERE id = 1 UNION ALL SELECT s.id, s.day FROM r JOIN ONLY sales s ON s.id = r.id + 1) SELECT r.id, s.day FROM r JOIN ONLY sales s USING (id) ORDER BY id",
        "result day",
    ),
    ("SELECT at, count(*) OVER (ORDER BY at) AS n FROM visits ORDER BY at", "result at"),
    ("SELECT sum(amount) OVER (ORDER BY day, id) AS total FROM sales ORDER BY day, id", "no column of the result"),
    (
        "SELECT max(day) AS day, count(*) AS n FROM (SELECT * FROM sales ORDER BY id LIMIT 5) s",
        "no column of the result",
    ),
    ("SELECT day + 1 AS day, row_number() OVER (ORDER BY id) AS n FROM sales ORDER BY id", "no column of the result"),
    (
        "SELECT a.day AS x, b.day AS y, row_number() OVER (ORDER BY a.id) AS n FROM sales a JOIN sales b ON a.id = b.id ORDER BY n",
        "several columns of the result",
    ),
];
