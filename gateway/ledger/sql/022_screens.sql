-- Who consented on a screen, whatever they said since: should it be voided, what that had lifted comes back. The words are
-- those of gateway/ledger/voiding.py; a restated entry holds another one whole.
CREATE INDEX entry_screen ON entry (
CASE WHEN json_valid(CAST(body AS TEXT)) THEN CASE json_extract(CAST(body AS TEXT), '$.e')
  WHEN 'opt_in' THEN
    coalesce(json_extract(CAST(body AS TEXT), '$.ui'), json_extract(CAST(body AS TEXT), '$.nv'))
  WHEN 'keep_programme' THEN json_extract(CAST(body AS TEXT), '$.ui')
  WHEN 'restated' THEN coalesce(
    json_extract(json_extract(CAST(body AS TEXT), '$.was'), '$.ui'),
    json_extract(json_extract(CAST(body AS TEXT), '$.was'), '$.nv'))
END END
) WHERE
CASE WHEN json_valid(CAST(body AS TEXT)) THEN CASE json_extract(CAST(body AS TEXT), '$.e')
  WHEN 'opt_in' THEN
    coalesce(json_extract(CAST(body AS TEXT), '$.ui'), json_extract(CAST(body AS TEXT), '$.nv'))
  WHEN 'keep_programme' THEN json_extract(CAST(body AS TEXT), '$.ui')
  WHEN 'restated' THEN coalesce(
    json_extract(json_extract(CAST(body AS TEXT), '$.was'), '$.ui'),
    json_extract(json_extract(CAST(body AS TEXT), '$.was'), '$.nv'))
END END IS NOT NULL;
CREATE INDEX kept_end_ui ON kept_end (ui) WHERE ui <> '';
