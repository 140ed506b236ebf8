"""Where the bytes of an entry are: in its own row, or, once that was pruned, whole inside the entry that restates it.

Two pieces of SQL for whoever reads side rows (`detail d`) with what their entries say. Reads only.
"""

JOINED = " LEFT JOIN entry e ON e.seq = d.seq LEFT JOIN restated x ON x.of = d.seq LEFT JOIN entry r ON r.seq = x.seq"
BODY = "coalesce(e.body, CAST(json_extract(CAST(r.body AS TEXT), '$.was') AS BLOB))"  # NULL: nothing rests on it
