// @generated automatically by Diesel CLI.

pub mod catalog {
    diesel::table! {
        catalog.dashboard_items (dashboard_id, metric_id) {
            dashboard_id -> Text,
            metric_id -> Text,
            position -> Int8,
        }
    }

    diesel::table! {
        catalog.dashboards (dashboard_id) {
            dashboard_id -> Text,
            name -> Text,
            created_at -> Timestamptz,
            updated_at -> Timestamptz,
        }
    }

    diesel::table! {
        catalog.data_source (is_only) {
            is_only -> Bool,
            cluster -> Nullable<Int8>,
            database -> Int8,
            name -> Text,
        }
    }

    diesel::table! {
        catalog.idempotency_keys (operation, key) {
            operation -> Text,
            key -> Text,
            fingerprint -> Bytea,
            answer -> Nullable<Jsonb>,
            created_at -> Timestamptz,
        }
    }

    diesel::table! {
        catalog.ingestions (ingestion_id) {
            ingestion_id -> Uuid,
            report -> Jsonb,
            created_at -> Timestamptz,
        }
    }

    diesel::table! {
        catalog.layout_entries (dashboard_id, breakpoint, metric_id) {
            dashboard_id -> Text,
            breakpoint -> Text,
            metric_id -> Text,
            x -> Int4,
            y -> Int4,
            width -> Int4,
            height -> Int4,
            is_static -> Bool,
            position -> Int8,
        }
    }

    diesel::table! {
        catalog.metric_versions (metric_id, version) {
            metric_id -> Text,
            version -> Int4,
            action -> Text,
            changed_at -> Timestamptz,
            changed_by -> Jsonb,
            query_id -> Text,
            query_version -> Int4,
            title -> Nullable<Text>,
            description -> Nullable<Text>,
            editable -> Bool,
            parameters -> Jsonb,
            time_column -> Nullable<Text>,
            limits -> Jsonb,
            period -> Nullable<Jsonb>,
        }
    }

    diesel::table! {
        catalog.metrics (metric_id) {
            metric_id -> Text,
            query_id -> Text,
            editable -> Bool,
            created_at -> Timestamptz,
            updated_at -> Timestamptz,
            parameters -> Jsonb,
            time_column -> Nullable<Text>,
            limits -> Jsonb,
            contract -> Nullable<Jsonb>,
            title -> Nullable<Text>,
            description -> Nullable<Text>,
            version -> Int4,
            query_version -> Int4,
            changed_by -> Jsonb,
            deleted_at -> Nullable<Timestamptz>,
            period -> Nullable<Jsonb>,
            edited_by -> Nullable<Jsonb>,
            edited_at -> Nullable<Timestamptz>,
        }
    }

    diesel::table! {
        catalog.queries (query_id) {
            query_id -> Text,
            version -> Int4,
            sql -> Text,
            created_at -> Timestamptz,
            updated_at -> Timestamptz,
            title -> Nullable<Text>,
            changed_by -> Jsonb,
            edited_by -> Nullable<Jsonb>,
            edited_at -> Nullable<Timestamptz>,
        }
    }

    diesel::table! {
        catalog.query_history (query_id, version) {
            query_id -> Text,
            version -> Int4,
            sql -> Text,
            created_at -> Timestamptz,
        }
    }

    diesel::table! {
        catalog.table_loads (table_name, position) {
            table_name -> Text,
            position -> Int8,
            digest -> Bytea,
            row_count -> Int8,
            loaded_at -> Timestamptz,
            refused_count -> Int8,
        }
    }

    diesel::table! {
        catalog.table_versions (table_name, version) {
            table_name -> Text,
            version -> Int4,
            action -> Text,
            definition -> Jsonb,
            changed_at -> Timestamptz,
            changed_by -> Jsonb,
        }
    }

    diesel::table! {
        catalog.tables (table_name) {
            table_name -> Text,
            definition -> Jsonb,
            version -> Int4,
            changed_at -> Timestamptz,
            changed_by -> Jsonb,
            deleted_at -> Nullable<Timestamptz>,
        }
    }

    diesel::table! {
        catalog.taken_rights (privilege, object) {
            privilege -> Text,
            object -> Text,
            granted_to -> Nullable<Text>,
            created_at -> Timestamptz,
        }
    }

    diesel::table! {
        catalog.tenant_key (is_only) {
            is_only -> Bool,
            key -> Bytea,
            inner_pad -> Bytea,
            outer_pad -> Bytea,
        }
    }

    diesel::joinable!(dashboard_items -> dashboards (dashboard_id));
    diesel::joinable!(dashboard_items -> metrics (metric_id));
    diesel::joinable!(metric_versions -> metrics (metric_id));
    diesel::joinable!(metric_versions -> queries (query_id));
    diesel::joinable!(metrics -> queries (query_id));
    diesel::joinable!(query_history -> queries (query_id));
    diesel::joinable!(table_loads -> tables (table_name));
    diesel::joinable!(table_versions -> tables (table_name));

    diesel::allow_tables_to_appear_in_same_query!(
        dashboard_items,
        dashboards,
        data_source,
        idempotency_keys,
        ingestions,
        layout_entries,
        metric_versions,
        metrics,
        queries,
        query_history,
        table_loads,
        table_versions,
        tables,
        taken_rights,
        tenant_key,
    );
}
