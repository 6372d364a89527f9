import { Script } from './script.js';

// Each script has one key (TAKE any number), takes the time from the server, and answers with a flat list that begins with that time in
// microseconds and with what became of it: `ok`, `late` (its deadline on the server's clock had passed: nothing was
// changed) or what the script says. ARGV[1] is that deadline, ARGV[2] names the operation: sent twice, it is done once.
// Numbers are kept as whole microseconds; `%.0f` writes them without losing digits.
const PRELUDE = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(number) return string.format('%.0f', number) end
local function px(us) return math.min(math.max(1, math.ceil(us / 1000)), 1e12) end
if now > tonumber(ARGV[1]) then return {text(now), 'late'} end
`;

const script = (name: string, lua: string) => new Script(name, PRELUDE + lua);

/** The server's time and the version of its scripts' engine (which Redis tells since 7), and nothing else. */
export const CLOCK = script('clock', `return {text(now), 'ok', redis.REDIS_VERSION or ''}`);

/** Whether the store can be written: one that can only be read is lost as well. Answers as {@link CLOCK}. */
export const CHECK = script(
  'check',
  `
redis.call('SET', KEYS[1], '1', 'PX', '1000')
return {text(now), 'ok', redis.REDIS_VERSION or ''}
`,
);

/**
 * The one script that takes several keys. ARGV, for each: emission, tolerance, want, min; a key without these is asked as
 * the one before it. Kept: when it is full again (a microsecond and a part of one) and what the last operation got, as
 * three doubles, and that operation. Reckoned as in gcra.ts. Answers, for each, granted, reset (us), remaining, as integers:
 * this is what is asked most, and packing is a quarter faster than writing digits.
 */
export const TAKE = script(
  'take',
  `
local call, max, min, ceil, floor = redis.call, math.max, math.min, math.ceil, math.floor
local pack, unpack, sub = struct.pack, struct.unpack, string.sub
local operation = ARGV[2]
local reply = {now, 'ok'}
local emission, tolerance, want, least
for i = 1, #KEYS do
  local key, at = KEYS[i], 4 * i
  if ARGV[at] then
    emission, tolerance = tonumber(ARGV[at - 1]), tonumber(ARGV[at])
    want, least = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  end
  local ahead, granted = 0, 0
  local kept = call('GET', key)
  if kept then
    local full, part
    full, part, granted = unpack('<ddd', kept)
    ahead = max(0, full - now + part)
  end
  local room = max(0, floor((tolerance - ahead + 0.001) / emission))
  if kept and sub(kept, 25) == operation then
    -- It is answered as it was.
  elseif room < least or room == 0 then
    granted = 0
  else
    granted = min(want, room)
    ahead, room = ahead + granted * emission, room - granted
    local whole = floor(ahead)
    call('SET', key, pack('<ddd', now + whole, ahead - whole, granted) .. operation, 'PX', px(ahead))
  end
  at = 3 * i
  reply[at], reply[at + 1], reply[at + 2] = granted, ceil(ahead), room
end
return reply
`,
);

// Kept: a hash of owner to `count|expiry|operation|granted`.
const HOLDERS = `
local owner = ARGV[3]
local held, own, latest = 0, nil, 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local count, expiry, operation, granted = string.match(all[i + 1], '^(%d+)|(%d+)|([^|]*)|(%d+)$')
  count, expiry = tonumber(count), tonumber(expiry)
  if expiry <= now then
    redis.call('HDEL', KEYS[1], all[i])
  else
    held = held + count
    if all[i] == owner then
      own = { count = count, expiry = expiry, operation = operation, granted = tonumber(granted) }
    else
      latest = math.max(latest, expiry)
    end
  end
end
local function keep(count, expiry, granted)
  if count > 0 then
    redis.call('HSET', KEYS[1], owner, text(count) .. '|' .. text(expiry) .. '|' .. ARGV[2] .. '|' .. text(granted))
    latest = math.max(latest, expiry)
  else
    redis.call('HDEL', KEYS[1], owner)
  end
  if latest > now then redis.call('PEXPIRE', KEYS[1], px(latest - now)) end
end
`;

/** ARGV: owner, limit, want, lease. Answers granted and held by all. */
export const ACQUIRE = script(
  'acquire',
  `${HOLDERS}
if own and own.operation == ARGV[2] then return {text(now), 'ok', text(own.granted), text(held)} end
local granted = math.max(0, math.min(tonumber(ARGV[5]), tonumber(ARGV[4]) - held))
if granted > 0 then keep((own and own.count or 0) + granted, now + tonumber(ARGV[6]), granted) end
return {text(now), 'ok', text(granted), text(held + granted)}
`,
);

/** ARGV: owner, lease, how many at most. Answers how many this owner holds. */
export const RENEW = script(
  'renew',
  `${HOLDERS}
if not own then return {text(now), 'ok', '0'} end
local count = math.min(own.count, tonumber(ARGV[5]))
keep(count, now + tonumber(ARGV[4]), own.granted)
return {text(now), 'ok', text(count)}
`,
);

/** ARGV: owner, count. */
export const RELEASE = script(
  'release',
  `${HOLDERS}
if own and own.operation ~= ARGV[2] then keep(math.max(0, own.count - tonumber(ARGV[4])), own.expiry, 0) end
return {text(now), 'ok'}
`,
);

/** ARGV: fingerprint, lease. Kept: a hash of state, fence, fingerprint, operation, outcome. */
export const BEGIN = script(
  'begin',
  `
local state, fence, print, operation, outcome = unpack(redis.call('HMGET', KEYS[1], 's', 'f', 'p', 'o', 'v'))
if state then
  if print ~= ARGV[3] then return {text(now), 'mismatch'} end
  if state == 'done' then return {text(now), 'replay', outcome} end
  if operation == ARGV[2] then return {text(now), 'run', fence} end
  return {text(now), 'busy', tostring(redis.call('PTTL', KEYS[1]))}
end
redis.call('HSET', KEYS[1], 's', 'run', 'f', text(now), 'p', ARGV[3], 'o', ARGV[2])
redis.call('PEXPIRE', KEYS[1], px(tonumber(ARGV[4])))
return {text(now), 'run', text(now)}
`,
);

/** ARGV: fence, outcome, time to live. */
export const COMPLETE = script(
  'complete',
  `
local state, fence = unpack(redis.call('HMGET', KEYS[1], 's', 'f'))
if fence ~= ARGV[3] then return {text(now), 'lost'} end
if state == 'run' then
  redis.call('HSET', KEYS[1], 's', 'done', 'v', ARGV[4])
  redis.call('PEXPIRE', KEYS[1], px(tonumber(ARGV[5])))
end
return {text(now), 'ok'}
`,
);

/** ARGV: fence. */
export const FAIL = script(
  'fail',
  `
local state, fence = unpack(redis.call('HMGET', KEYS[1], 's', 'f'))
if state == 'run' and fence == ARGV[3] then redis.call('DEL', KEYS[1]) end
return {text(now), 'ok'}
`,
);

/** ARGV: fence, lease. */
export const BEAT = script(
  'beat',
  `
local state, fence = unpack(redis.call('HMGET', KEYS[1], 's', 'f'))
if state ~= 'run' or fence ~= ARGV[3] then return {text(now), 'lost'} end
redis.call('PEXPIRE', KEYS[1], px(tonumber(ARGV[4])))
return {text(now), 'ok'}
`,
);

/** Kept: `put at|value`. Answers age and value. */
export const GET = script(
  'get',
  `
local kept = redis.call('GET', KEYS[1])
if not kept then return {text(now), 'none'} end
local putAt, value = string.match(kept, '^(%d+)|(.*)$')
return {text(now), 'ok', text(math.max(0, now - tonumber(putAt))), value}
`,
);

/** ARGV: value, time to live. */
export const PUT = script(
  'put',
  `
redis.call('SET', KEYS[1], text(now) .. '|' .. ARGV[3], 'PX', px(tonumber(ARGV[4])))
return {text(now), 'ok'}
`,
);

/** ARGV: owner, time to live. Kept: a sorted set of owners by when they expire. Answers how many there are. */
export const PRESENT = script(
  'present',
  `
redis.call('ZADD', KEYS[1], text(now + tonumber(ARGV[4])), ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now))
redis.call('PEXPIRE', KEYS[1], math.max(redis.call('PTTL', KEYS[1]), px(tonumber(ARGV[4]))))
return {text(now), 'ok', tostring(redis.call('ZCARD', KEYS[1]))}
`,
);

/** ARGV: owner. */
export const LEAVE = script(
  'leave',
  `
redis.call('ZREM', KEYS[1], ARGV[3])
return {text(now), 'ok'}
`,
);

// A circuit of all instances: the same rules as FleetCircuit in memory. Kept: a hash of v(ersion), s(tate: c or o),
// r (probes from), n (openings), c(losed at), g(ood), b(ad), w (slow) probes; `o:owner` = `calls|failures|vote|expiry`,
// `p:probe` = its expiry, `x:owner` where a probe of the owner failed. ARGV[3] is the version that the caller knows.
const CIRCUIT = `
local kept, reports, size, failing, probes, out = {}, {}, 0, 0, {}, 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local field, value = all[i], all[i + 1]
  local kind = string.sub(field, 1, 2)
  if kind == 'o:' then
    local calls, failures, vote, expiry = string.match(value, '^(%d+)|(%d+)|(%d)|(%d+)$')
    if tonumber(expiry) > now then
      reports[field] = { tonumber(calls), tonumber(failures), vote == '1' }
      size = size + 1
    else
      redis.call('HDEL', KEYS[1], field)
    end
  elseif kind == 'p:' then
    if tonumber(value) > now then
      probes[field] = true
      out = out + 1
    else
      redis.call('HDEL', KEYS[1], field)
    end
  elseif kind == 'x:' then
    failing = failing + 1
  else
    kept[field] = value
  end
end
local version = tonumber(kept.v or '0')
local open, from, openings, closed = kept.s == 'o', tonumber(kept.r or '0'), tonumber(kept.n or '0'), kept.c
local good, bad, slow = tonumber(kept.g or '0'), tonumber(kept.b or '0'), tonumber(kept.w or '0')
local function begin(state)
  version = math.max(now, version + 1)
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'v', text(version), 's', state, 'r', text(from), 'n', text(openings))
  if closed then redis.call('HSET', KEYS[1], 'c', closed) end
end
local function opens(us)
  open, openings, from = true, openings + 1, now + us
  begin('o')
end
local function closes()
  open, openings, closed = false, 0, text(now)
  begin('c')
end
local function quorum(scope, instances)
  instances = math.max(instances, size)
  if scope == 'any' or instances <= 1 then return 1 end
  return math.max(2, math.ceil(instances / 3))
end
local function view(granted)
  local left = 0
  if open then left = from - now end
  if redis.call('EXISTS', KEYS[1]) == 1 then
    redis.call('PEXPIRE', KEYS[1], px(math.max(0, left)) + 120000)
  end
  return {text(now), 'ok', text(version), open and '1' or '0', text(left), text(openings),
    closed and text(now - tonumber(closed)) or '', granted or '0'}
end
`;

/** ARGV: version, owner, calls, failures, vote, close, time to live, scope, instances, failure rate or '', minimum, open. */
export const SYNC = script(
  'sync',
  `${CIRCUIT}
if version == 0 then
  version = now
  redis.call('HSET', KEYS[1], 'v', text(version), 's', 'c')
end
if tonumber(ARGV[3]) ~= version then return view() end
if ARGV[8] == '1' and open then
  closes()
  return view()
end
local mine = 'o:' .. ARGV[4]
if not reports[mine] then size = size + 1 end
reports[mine] = { tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1' }
redis.call('HSET', KEYS[1], mine, table.concat({ARGV[5], ARGV[6], ARGV[7], text(now + tonumber(ARGV[9]))}, '|'))
if not open then
  local votes, calls, failures, most = 0, 0, 0, 0
  for _, report in pairs(reports) do
    if report[3] then votes = votes + 1 end
    calls, failures, most = calls + report[1], failures + report[2], math.max(most, report[2])
  end
  local rate = tonumber(ARGV[12])
  if votes >= quorum(ARGV[10], tonumber(ARGV[11])) then
    opens(tonumber(ARGV[14]))
  elseif rate and calls > 0 and calls >= tonumber(ARGV[13]) and failures * 100 >= rate * calls and most * 2 <= failures then
    opens(tonumber(ARGV[14]))
  end
elseif ARGV[7] == '1' and now >= from then
  failing = failing + redis.call('HSETNX', KEYS[1], 'x:' .. ARGV[4], '1')
  if failing >= quorum(ARGV[10], tonumber(ARGV[11])) then opens(tonumber(ARGV[14])) end
end
return view()
`,
);

/** ARGV: version, probe, limit, results, time to live. */
export const PROBE = script(
  'probe',
  `${CIRCUIT}
local mine, limit, results = 'p:' .. ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
if probes[mine] then return view('1') end
if not open or now < from or tonumber(ARGV[3]) ~= version then return view() end
if out >= limit or (results > 0 and out + good + bad >= results) then return view() end
redis.call('HSET', KEYS[1], mine, text(now + tonumber(ARGV[7])))
return view('1')
`,
);

/** ARGV: version, owner, probe, outcome (- or failed and slow as 0 or 1), successes, results, failure rate or '', slow rate or '', scope, instances, open. */
export const SETTLE = script(
  'settle',
  `${CIRCUIT}
local mine = 'p:' .. ARGV[5]
if tonumber(ARGV[3]) ~= version or not open or not probes[mine] then return view() end
redis.call('HDEL', KEYS[1], mine)
if ARGV[6] == '-' then return view() end
local failed = string.sub(ARGV[6], 1, 1) == '1'
if failed then
  bad = bad + 1
  failing = failing + redis.call('HSETNX', KEYS[1], 'x:' .. ARGV[4], '1')
else
  good = good + 1
end
if string.sub(ARGV[6], 2, 2) == '1' then slow = slow + 1 end
local enough = failing >= quorum(ARGV[11], tonumber(ARGV[12]))
local results, recorded = tonumber(ARGV[8]), good + bad
if results == 0 then
  if failed and enough then
    opens(tonumber(ARGV[13]))
  elseif good >= tonumber(ARGV[7]) then
    closes()
  end
elseif recorded >= results then
  local rate, slowRate = tonumber(ARGV[9]), tonumber(ARGV[10])
  local broken = bad > 0
  if rate then broken = bad * 100 >= rate * recorded end
  local sluggish = slowRate and slow * 100 >= slowRate * recorded
  if (broken and enough) or (sluggish and not broken) then
    opens(tonumber(ARGV[13]))
  elseif broken then
    bad, slow = 0, 0
  else
    closes()
  end
end
if open and tonumber(ARGV[3]) == version then
  redis.call('HSET', KEYS[1], 'g', text(good), 'b', text(bad), 'w', text(slow))
end
return view()
`,
);
