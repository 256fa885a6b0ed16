#!lua flags=allow-oom
-- Counts sends beside their users unless a rule stands against them. Allowed without memory: on the way out, and bounded.
-- KEYS   the shard's tag
-- ARGV   reserve | look, rows kept at most ms; then per send: user (5), send (13), rules, per rule: scope (4), a: ms ago | f: since ms,
--        number, sends at most
-- reply  time, per send: 0 counted, or was already | the place of the rule that stands against it, from 1
-- bound  64 sends of 17 rules, each over the rows of one user
local is_look, kept_ms = arg() == 'look', num()
local ROW = 23
local reply = { t }

-- How many rows of the scope are newer than an instant.
local function counted(rows, scope, since)
  local n = 0
  for at = 1, #rows - ROW + 1, ROW do
    if sub(rows, at + 13, at + 16) == scope and number('>I6', rows, at + 17) > since then
      n = n + 1
    end
  end
  return n
end

local function is_there(rows, send)
  for at = 1, #rows - ROW + 1, ROW do
    if sub(rows, at, at + 12) == send then
      return true
    end
  end
  return false
end

-- The rows that some rule can still see, and one for each scope of the send.
local function with(rows, send, rules)
  local since, scopes = {}, {}
  for i = 1, #rules do
    local rule = rules[i]
    if not since[rule.scope] then
      scopes[#scopes + 1] = rule.scope
    end
    since[rule.scope] = math.min(since[rule.scope] or rule.since, rule.since)
  end
  local kept = {}
  for at = 1, #rows - ROW + 1, ROW do
    if number('>I6', rows, at + 17) > (since[sub(rows, at + 13, at + 16)] or t - kept_ms) then
      kept[#kept + 1] = sub(rows, at, at + ROW - 1)
    end
  end
  for i = 1, #scopes do
    kept[#kept + 1] = send .. scopes[i] .. pack('>I6', t)
  end
  return table.concat(kept)
end

while arg_at < #ARGV do
  local user, send, rules = arg(), arg(), {}
  for i = 1, num() do
    local scope, kind, ms = arg(), arg(), num()
    rules[i] = { scope = scope, since = kind == 'a' and t - ms or ms, at_most = num() }
  end
  local rows, over = call('HGET', 'n:' .. user, 'k') or '', 0
  if not is_there(rows, send) then
    for i = 1, #rules do
      if over == 0 and counted(rows, rules[i].scope, rules[i].since) >= rules[i].at_most then
        over = i
      end
    end
    if over == 0 and not is_look then
      call('HSET', 'n:' .. user, 'k', with(rows, send, rules))
    end
  end
  reply[#reply + 1] = over
end
return reply
