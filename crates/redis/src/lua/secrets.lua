#!lua
-- Secrets, one hash: under `=name` each, under `version` how often they changed.
-- KEYS   cp:secrets
-- ARGV   put, name, secret | delete, name
-- reply  time, put: 1 | delete: 1 there was one, 0
-- bound  one key
local verb, name, secret = arg(), '=' .. arg(), arg()
local done = 1
if verb == 'put' then
  redis.call('HSET', KEYS[1], name, secret)
else
  done = redis.call('HDEL', KEYS[1], name)
end
if done == 1 then
  redis.call('HINCRBY', KEYS[1], 'version', 1)
end
return { t, done }
