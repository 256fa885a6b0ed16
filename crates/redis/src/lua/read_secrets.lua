#!lua flags=no-writes
-- KEYS   cp:secrets or cp:tokens
-- ARGV   all | version
-- reply  time, version, for all: documents..
-- bound  1,000 documents
local reply = { t, tonumber(redis.call('HGET', KEYS[1], 'version') or 0) or 0 }
if arg() == 'all' then
  local found = redis.call('HGETALL', KEYS[1])
  for i = 1, #found, 2 do
    if sub(found[i], 1, 1) == '=' then
      reply[#reply + 1] = found[i + 1]
    end
  end
end
return reply
