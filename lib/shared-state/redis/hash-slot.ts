/** CRC-16/XMODEM, of which a cluster takes the lower 14 bits. */
const POLYNOMIAL = 0x1021;
const SLOTS = 16_384;

const crcOfByte = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc & 0x80_00 ? POLYNOMIAL : 0);
  return crc;
});

/** In which slot of a cluster a name of ours is: by what stands in its braces, which is ASCII (Redis Cluster specification). */
export function hashSlot(name: string): number {
  const end = name.indexOf('}');
  let crc = 0;
  for (let i = name.indexOf('{') + 1; i < end; i++) {
    crc = ((crc << 8) & 0xff_ff) ^ (crcOfByte[(crc >> 8) ^ name.charCodeAt(i)] as number);
  }
  return crc % SLOTS;
}
