#!lua flags=no-writes
-- The numbers of campaigns: of one id, or of the ids after one.
-- KEYS   cp:names, its numbers, its ids
-- ARGV   one | after, id, limit
-- reply  time, numbers.. ; then, for after, the last id looked at ('': no more)
-- bound  1,000 ids
local how, id, limit = arg(), arg(), num()
local ids = { id }
if how == 'after' then
  ids = redis.call('ZRANGEBYLEX', KEYS[3], id == '' and '-' or '(' .. id, '+', 'LIMIT', 0, limit)
end
local reply = { t }
for i = 1, #ids do
  reply[#reply + 1] = tonumber(redis.call('HGET', KEYS[1], 'c:' .. ids[i]) or nil)
end
if how == 'after' then
  reply[#reply + 1] = #ids == limit and ids[#ids] or ''
end
return reply
