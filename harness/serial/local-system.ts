/**
 * What the operating system knows about its ports: who has one open, who may open it, which others there are.
 * Everything is read when it is asked for, and an answer that cannot be had is left out of the message.
 */
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { holdersOf, type PortHolder } from './port-list.ts';

/** Where to look; the real machine unless a test says otherwise. */
export interface LocalSystem {
  readonly platform: NodeJS.Platform;
  /** In front of `/proc`, `/dev` and `/etc`. */
  readonly root: string;
  readonly user: {
    readonly name: string;
    readonly uid: number;
    readonly groups: readonly number[];
  };
}

export function thisSystem(): LocalSystem {
  const { username, uid } = userInfo();
  const groups = process.getgroups?.() ?? [];
  return { platform: process.platform, root: '/', user: { name: username, uid, groups } };
}

/** Programs that have the port open, this one left out. Linux only, and only those that this user may look into. */
export function portHolders(path: string, { platform, root }: LocalSystem): PortHolder[] {
  if (platform !== 'linux') return [];
  const target = attempt(() => realpathSync(path)) ?? path;
  const holders = holdersOf(new Set([target]), root).get(target) ?? [];
  return holders.filter(({ pid }) => pid !== process.pid);
}

export interface PermissionReport {
  readonly owner: string;
  readonly group: string;
  /** As `ls` writes it: `rw-rw----`. */
  readonly mode: string;
  readonly userGroups: readonly string[];
  /** What to do on this machine. */
  readonly remedy: string;
}

/** Who may open the port, and what this user can do about it (R04). Undefined where the system does not tell. */
export function portPermission(path: string, system: LocalSystem): PermissionReport | undefined {
  const { platform, root, user } = system;
  if (platform === 'win32') return undefined;
  const stat = attempt(() => statSync(path));
  if (stat === undefined) return undefined;
  const groups = namesById(join(root, '/etc/group'));
  const owner = namesById(join(root, '/etc/passwd')).get(stat.uid) ?? String(stat.uid);
  const group = groups.get(stat.gid) ?? String(stat.gid);
  const mode = [6, 3, 0]
    .map((shift) => (stat.mode >> shift) & 7)
    .map((bits) => `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${bits & 1 ? 'x' : '-'}`)
    .join('');
  const inContainer = attempt(() => statSync(join(root, '/.dockerenv'))) !== undefined;
  return {
    owner,
    group,
    mode,
    userGroups: user.groups.map((id) => groups.get(id) ?? String(id)),
    remedy: remedyOf(path, system, {
      group,
      groupId: stat.gid,
      groupMayWrite: (stat.mode & 0o060) === 0o060,
      inContainer,
    }),
  };
}

function remedyOf(
  path: string,
  { platform, user }: LocalSystem,
  found: {
    readonly group: string;
    readonly groupId: number;
    readonly groupMayWrite: boolean;
    readonly inContainer: boolean;
  },
): string {
  const { group, groupId, groupMayWrite, inContainer } = found;
  if (inContainer) {
    return `This is a container: start it with --device ${path} --group-add ${groupId}.`;
  }
  if (platform === 'darwin') return `sudo chmod a+rw ${path}`;
  if (!groupMayWrite || groupId === 0) {
    return `No group but its owner may use it: sudo chmod a+rw ${path} until it is plugged in again, or a udev rule for good.`;
  }
  if (user.groups.includes(groupId)) {
    return `You are in its group, so something else forbids it: a sandbox (snap, flatpak), SELinux, or a mount without devices.`;
  }
  return `sudo usermod -aG ${group} ${user.name}, then log out and in again (or for this terminal: newgrp ${group}).`;
}

/** Ports that are there and could have been meant: of the same kind first, at most `limit`. */
export function similarPorts(path: string, { platform, root }: LocalSystem, limit = 8): string[] {
  if (platform === 'win32') return [];
  const folder = dirname(path);
  const kind = basename(path).replace(/[\d.]+$/, '');
  const names = attempt(() => readdirSync(join(root, folder))) ?? [];
  const serial = /^(ttyUSB|ttyACM|ttyAMA|cu\.|tty\.)/;
  const same = names.filter(
    (name) => kind !== '' && name.startsWith(kind) && name !== basename(path),
  );
  const other = folder === '/dev' ? names.filter((name) => serial.test(name)) : [];
  const byId = attempt(() => readdirSync(join(root, '/dev/serial/by-id'))) ?? [];
  return [
    ...new Set([
      ...[...same, ...other].toSorted().map((name) => join(folder, name)),
      ...byId.toSorted().map((name) => join('/dev/serial/by-id', name)),
    ]),
  ].slice(0, limit);
}

/** Id to name of `/etc/passwd` and `/etc/group`. */
function namesById(file: string): Map<number, string> {
  const lines = (attempt(() => readFileSync(file, 'utf8')) ?? '').split('\n');
  return new Map(
    lines
      .map((line) => line.split(':'))
      .filter((fields) => fields.length > 2)
      .map(([name, , id]) => [Number(id), name!]),
  );
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
