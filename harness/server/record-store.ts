/**
 * Recordings of boards in a folder, one folder for each id (EchoKit device protocol reference,
 * section 1.8). Names come from outside: an id or a file that is no plain name is nothing here.
 */
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export interface RecordStore {
  /** Whether there can be recordings under this id. */
  accepts(deviceId: string): boolean;
  /** @throws the file system's error */
  begin(deviceId: string): RecordFile;
  /** Names of the recordings, sorted; undefined when there is no folder of this id. */
  list(deviceId: string): string[] | undefined;
  read(deviceId: string, file: string): Uint8Array | undefined;
}

export interface RecordFile {
  readonly name: string;
  readonly samples: number;
  /** @param pcm 16-bit little-endian samples */
  append(pcm: Uint8Array): void;
  /** @param patch whether the header is to tell the true length */
  close(patch: boolean): void;
}

const headerBytes = 44;
/** What the EchoKit server writes for a length that is not known. */
const unknownRiffBytes = 0x7fff_ffff;
const unknownDataBytes = 0xffff_ffff;

/** @param stamp local time with its offset, as in `20261126_194121+0000` */
export function recordFolder(folder: string, stamp: () => string): RecordStore {
  const list = (deviceId: string): string[] | undefined => {
    if (!isPlainName(deviceId)) return undefined;
    try {
      return readdirSync(join(folder, deviceId), { withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ name }) => name)
        .sort();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  };
  return {
    accepts: isPlainName,
    begin(deviceId) {
      if (!isPlainName(deviceId)) throw new RangeError(`"${deviceId}" cannot name a folder.`);
      mkdirSync(join(folder, deviceId), { recursive: true });
      return createFile(join(folder, deviceId), `record_${stamp()}`);
    },
    list,
    read(deviceId, file) {
      // Only what is listed is read, so no name leads out of the folder.
      if (!(list(deviceId) ?? []).includes(file)) return undefined;
      return readFileSync(join(folder, deviceId, file));
    },
  };
}

/** One path segment that every file system takes and that leads nowhere else. */
function isPlainName(name: string): boolean {
  return /^[\p{L}\p{N}][\p{L}\p{N}._:-]{0,127}$/u.test(name);
}

/** Two recordings within a second get names of their own. */
function createFile(folder: string, base: string): RecordFile {
  for (let copy = 1; ; copy++) {
    const name = `${base}${copy === 1 ? '' : `-${copy}`}.wav`;
    try {
      return openFile(name, openSync(join(folder, name), 'wx'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

function openFile(name: string, descriptor: number): RecordFile {
  let bytes = 0;
  writeSync(descriptor, wavHeader(unknownRiffBytes, unknownDataBytes));
  return {
    name,
    get samples() {
      return bytes >> 1;
    },
    append(pcm) {
      writeSync(descriptor, pcm, 0, pcm.length, headerBytes + bytes);
      bytes += pcm.length;
    },
    close(patch) {
      if (patch) {
        const header = wavHeader(headerBytes - 8 + bytes, bytes);
        writeSync(descriptor, header, 0, header.length, 0);
      }
      closeSync(descriptor);
    },
  };
}

/** 16 kHz, mono, 16 bits. */
function wavHeader(riffBytes: number, dataBytes: number): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(riffBytes, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(16_000, 24);
  header.writeUInt32LE(32_000, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(dataBytes, 40);
  return header;
}
