-- What was taken stays taken: `metricd migrate --undo-hardening` gives it back while it is still known.
DROP TABLE catalog.taken_rights;
