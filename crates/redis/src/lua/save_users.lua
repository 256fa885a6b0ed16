#!lua
-- Writes profiles whose version is still the one read.
-- KEYS   the shard's tag
-- ARGV   (number, old version, value)..
-- reply  time, one character a user: 1 written (also by a repeat of this call), 0 it was not
-- bound  1,000 users, about 1 us each
local answers = {}
while arg_at < #ARGV do
  local key, version, value = 'u:' .. arg(), arg(), arg()
  local stored = call('GETRANGE', key, 0, 7)
  if stored == version then
    call('SET', key, value)
    answers[#answers + 1] = '1'
  else
    answers[#answers + 1] = stored == sub(value, 1, 8) and call('GET', key) == value and '1' or '0'
  end
end
return { t, table.concat(answers) }
