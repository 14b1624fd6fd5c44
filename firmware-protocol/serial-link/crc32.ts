/**
 * CRC-32 as in ISO 3309, zlib and PNG: polynomial 0x04C11DB7, reflected, preset and inverted with
 * ones. The mask ROM of the ESP32 has it (`esp_rom_crc32_le`). Check value of "123456789": CBF43926.
 */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** @param before the CRC of the bytes that stand before these. @returns an unsigned integer. */
export function crc32(bytes: Uint8Array, before = 0): number {
  let value = ~before;
  for (let i = 0; i < bytes.length; i++) {
    value = table[(value ^ bytes[i]!) & 0xff]! ^ (value >>> 8);
  }
  return ~value >>> 0;
}
