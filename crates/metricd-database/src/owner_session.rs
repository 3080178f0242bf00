//! The settings of every session of the owner role.
//!
//! Otherwise `ALTER ROLE`, `ALTER DATABASE` or the server's configuration would decide how metricd's statements are
//! read and what is stored. The operator keeps: the role of the session (`role`), planning and logging, tablespaces,
//! and `default_transaction_read_only`, by which an operator closes the catalog for writing.
//!
//! The search path has PostgreSQL's own schema alone: in another one, other roles may create functions and operators
//! that fit a statement better. So each table has its schema.

/// Fixes the settings of a session. Run it once, when the session is opened; each user of the session sets its own time
/// limits afterwards.
///
/// It only sets what differs. So a setting that only a superuser may change fails only if its value was changed. A
/// setting that the server does not have is skipped: `transaction_timeout` exists since PostgreSQL 17.
pub const OWNER_SETTINGS_SQL: &str = "
    SELECT pg_catalog.set_config(settled.name, settled.value, false)
    FROM (VALUES
        ('array_nulls', 'on'),
        ('backslash_quote', 'safe_encoding'),
        ('bytea_output', 'hex'),
        ('check_function_bodies', 'on'),
        ('client_encoding', 'UTF8'),
        ('client_min_messages', 'warning'),
        ('DateStyle', 'ISO, MDY'),
        ('default_transaction_deferrable', 'off'),
        ('default_transaction_isolation', 'read committed'),
        ('extra_float_digits', '1'),
        ('idle_in_transaction_session_timeout', '60000'),
        ('idle_session_timeout', '0'),
        ('IntervalStyle', 'postgres'),
        ('lock_timeout', '5000'),
        ('quote_all_identifiers', 'off'),
        ('row_security', 'on'),
        ('search_path', 'pg_catalog'),
        ('session_replication_role', 'origin'),
        ('standard_conforming_strings', 'on'),
        ('statement_timeout', '60000'),
        ('TimeZone', 'UTC'),
        ('transaction_timeout', '0'),
        ('transform_null_equals', 'off'),
        ('xmlbinary', 'base64'),
        ('xmloption', 'content')
    ) AS settled (name, value)
    JOIN pg_catalog.pg_settings AS current ON current.name OPERATOR(pg_catalog.=) settled.name
    WHERE current.setting IS DISTINCT FROM settled.value";
