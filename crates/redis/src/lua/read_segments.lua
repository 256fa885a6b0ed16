#!lua flags=no-writes
-- KEYS   cp:segments, for ids: the key of a list's ids
-- ARGV   version | all, s | l | ids, name
-- reply  time, version, for all: documents.. | for ids: the list's document and its ids, nothing if there is none
-- bound  1,000 segments of 16 KiB, or one list of 16 MiB
local what = arg()
local reply = { t, tonumber(redis.call('HGET', KEYS[1], 'version') or 0) or 0 }
if what == 'all' then
  local kind = arg() .. '='
  local found = redis.call('HGETALL', KEYS[1])
  for i = 1, #found, 2 do
    if sub(found[i], 1, 2) == kind then
      reply[#reply + 1] = found[i + 1]
    end
  end
elseif what == 'ids' then
  local document, ids = redis.call('HGET', KEYS[1], 'l=' .. arg()), redis.call('GET', KEYS[2])
  if document and ids then
    reply[3], reply[4] = document, ids
  end
end
return reply
