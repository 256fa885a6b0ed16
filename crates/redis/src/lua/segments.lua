#!lua
-- Segments and lists of users, one hash: under `s=name` and `l=name` each, under `s#name` and `l#name` its revision, under `version`
-- how often any changed. The ids of a list are a key of their own.
-- KEYS   cp:segments, for a list: the key of its ids
-- ARGV   put, s | l, name, revision, document, for a list: ids | delete, s | l, name, revision
-- reply  time, put: 1 if the stored revision is the one before, 0 | delete: 1 if it is this one, 0
-- bound  two keys
local verb, kind, name, revision = arg(), arg(), arg(), tonumber(arg())
local stored = tonumber(redis.call('HGET', KEYS[1], kind .. '#' .. name) or 0) or 0
if verb == 'put' then
  if stored + 1 ~= revision then
    return { t, 0 }
  end
  redis.call('HSET', KEYS[1], kind .. '=' .. name, arg(), kind .. '#' .. name, revision)
  if kind == 'l' then
    redis.call('SET', KEYS[2], arg())
  end
else
  if stored == 0 or stored ~= revision then
    return { t, 0 }
  end
  redis.call('HDEL', KEYS[1], kind .. '=' .. name, kind .. '#' .. name)
  if kind == 'l' then
    redis.call('DEL', KEYS[2])
  end
end
redis.call('HINCRBY', KEYS[1], 'version', 1)
return { t, 1 }
