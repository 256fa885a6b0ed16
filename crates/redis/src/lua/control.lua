#!lua flags=no-writes
-- The control words of campaigns.
-- KEYS   the shard's tag
-- ARGV   campaigns.., at least one
-- reply  time, words.. (nil: none)
-- bound  1,000 campaigns
local words = peek('HMGET', 'ctl', unpack(ARGV)) or {}
local reply = { t }
for i = 1, #ARGV do
  reply[i + 1] = words[i] or false
end
return reply
