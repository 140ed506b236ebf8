-- The table stays: an older gateway does not know it, and a request that waits is there again with the newer one.
SELECT 1;
