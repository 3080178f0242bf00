--
-- PostgreSQL database dump
--

SET statement_timeout = 0;
SET client_encoding = 'UTF8';

--
-- Data for Name: orders; Type: TABLE DATA; Schema: public; Owner: ann
--

COPY public.orders (id, name, paid, at, amount, tags) FROM stdin;
1	Ann	t	2025-01-15 09:30:00.5+00	12.50	{a,b}
2	line\nbreak	f	2025-01-16 00:00:00+00	\N	{}
3		t	2025-01-17 00:00:00+02	0	\N
\.


--
-- Name: orders_id_seq; Type: SEQUENCE SET; Schema: public; Owner: ann
--

SELECT pg_catalog.setval('public.orders_id_seq', 3, true);


--
-- PostgreSQL database dump complete
--

