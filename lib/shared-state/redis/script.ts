import { createHash } from 'node:crypto';

/** A Lua script and the name under which a server knows it. */
export class Script {
  readonly sha: string;

  constructor(
    readonly name: string,
    readonly lua: string,
  ) {
    this.sha = createHash('sha1').update(lua).digest('hex');
  }
}
