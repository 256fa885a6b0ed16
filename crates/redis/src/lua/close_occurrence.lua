#!lua flags=allow-oom
-- Lets the cursor of a walked occurrence go, once nobody can hold an old one.
-- KEYS   the shard's tag
-- ARGV   occurrence (campaign, instant), ms from now
-- reply  time
-- bound  one key
call('PEXPIRE', 'occ:' .. arg(), arg())
return { t }
