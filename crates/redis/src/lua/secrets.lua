#!lua
-- Documents by name in one hash: secrets, access tokens. Under `=name` each, under `version` how often they changed.
-- KEYS   cp:secrets or cp:tokens
-- ARGV   put, name, document | delete, name | swap, name, document, the one it replaces
-- reply  time, put: 1 | delete: 1 there was one, 0 | swap: 1 it was still there, 0
-- bound  one key
local verb, name, document = arg(), '=' .. arg(), arg()
local done = 1
if verb == 'put' then
  redis.call('HSET', KEYS[1], name, document)
elseif verb == 'swap' then
  done = redis.call('HGET', KEYS[1], name) == arg() and 1 or 0
  if done == 1 then
    redis.call('HSET', KEYS[1], name, document)
  end
else
  done = redis.call('HDEL', KEYS[1], name)
end
if done == 1 then
  redis.call('HINCRBY', KEYS[1], 'version', 1)
end
return { t, done }
