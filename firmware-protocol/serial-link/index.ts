/** The serial link: events, commands and audio between a board and a host over a UART. */
export { AdpcmEncoder, adpcmBytes, decodeAdpcm } from './adpcm.ts';
export * from './endpoint.ts';
export {
  encodeSerialLinkFrame,
  type SerialLinkDamage,
  SerialLinkDecoder,
  type SerialLinkDecoderCounts,
  type SerialLinkItem,
  serialLinkWireBytes,
} from './frame.ts';
export {
  type SerialLinkCapability,
  type SerialLinkClosing,
  type SerialLinkLimits,
  type SerialLinkRefusal,
  type SerialLinkRole,
  serialLinkCapabilities,
  serialLinkVersion,
} from './link-frame.ts';
export * from './message.ts';
