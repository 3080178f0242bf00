--
-- PostgreSQL database dump
--

INSERT INTO public.orders VALUES (1, 'Ann');
