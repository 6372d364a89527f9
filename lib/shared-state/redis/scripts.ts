import { Script } from './script.js';

// Each script has one key, takes the time from the server, and answers with a flat list that begins with that time in
// microseconds and with what became of it: `ok`, `late` (its deadline on the server's clock had passed: nothing was
// changed) or what the script says. ARGV[1] is that deadline, ARGV[2] names the operation: sent twice, it is done once.
// Numbers are kept as whole microseconds; `%.0f` writes them without losing digits.
const PRELUDE = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(number) return string.format('%.0f', number) end
local function px(us) return math.max(1, math.ceil(us / 1000)) end
if now > tonumber(ARGV[1]) then return {text(now), 'late'} end
`;

const script = (name: string, lua: string) => new Script(name, PRELUDE + lua);

/** The server's time, and nothing else. */
export const CLOCK = script('clock', `return {text(now), 'ok'}`);

/** ARGV: emission, tolerance, want, min. Kept: `full at|operation|granted`. Answers granted, retry, reset, remaining (us). */
export const TAKE = script(
  'take',
  `
local emission, tolerance = tonumber(ARGV[3]), tonumber(ARGV[4])
local want, min = tonumber(ARGV[5]), tonumber(ARGV[6])
local fullAt, last, before = 0, nil, 0
local kept = redis.call('GET', KEYS[1])
if kept then
  local a, b, c = string.match(kept, '^(%d+)|([^|]*)|(%d+)$')
  fullAt, last, before = tonumber(a), b, tonumber(c)
end
local base = math.max(fullAt, now)
local room = math.max(0, math.floor((now + tolerance - base) / emission))
if last == ARGV[2] then
  return {text(now), 'ok', text(before), '0', text(base - now), text(room)}
end
local granted = 0
if room >= min then granted = math.min(want, room) end
local nextFull = math.ceil(base + granted * emission)
if granted > 0 then
  redis.call('SET', KEYS[1], text(nextFull) .. '|' .. ARGV[2] .. '|' .. text(granted), 'PX', px(nextFull - now))
  return {text(now), 'ok', text(granted), '0', text(nextFull - now), text(room - granted)}
end
return {text(now), 'ok', '0', text(base + min * emission - tolerance - now), text(base - now), text(room)}
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
