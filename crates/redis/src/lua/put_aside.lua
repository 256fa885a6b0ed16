#!lua
-- Keeps foreign bytes where a person can look at them.
-- KEYS   the shard's tag
-- ARGV   (place, bytes)..
-- reply  time
-- bound  1,000 values
while arg_at < #ARGV do
  bad(arg(), arg())
end
return { t }
