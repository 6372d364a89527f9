import { describe, expect, it } from '@jest/globals';
import type { ExecutionContext } from '@nestjs/common';
import { byIp } from '../../lib/index.js';

function keyOf(forwardedFor: string): string | undefined {
  const request = {
    headers: { 'x-forwarded-for': forwardedFor },
    socket: { remoteAddress: '10.0.0.1' },
  };
  const context = { getType: () => 'http', switchToHttp: () => ({ getRequest: () => request }) };
  return byIp({ trustedProxies: 1 })(context as unknown as ExecutionContext);
}

describe('byIp', () => {
  it.each([
    ['1.2.3.4', '1.2.3.4'],
    ['9.9.9.9, 1.2.3.4:1000', '1.2.3.4'],
    ['1.2.3.4:1001', '1.2.3.4'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['[2001:db8::1]', '2001:db8:0:0::/64'],
    ['[2001:db8::2]:443', '2001:db8:0:0::/64'],
    ['[::ffff:1.2.3.4]:443', '1.2.3.4'],
    ['unknown', 'unknown'],
    ['[unknown]:1', '[unknown]:1'],
    ['1.2:3', '1.2:3'],
    ['', '10.0.0.1'],
  ])('RL-07 of %j is the client %s, whatever its port', (header, client) => {
    expect(keyOf(header)).toBe(client);
  });
});
