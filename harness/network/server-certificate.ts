import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { wallClockOf } from '../clock/system-clock.ts';

export type CertificateErrorCode =
  | 'TLS_UNREADABLE'
  | 'TLS_INVALID'
  | 'TLS_KEY_MISMATCH'
  | 'TLS_EXPIRED'
  | 'TLS_NOT_YET_VALID';

/** Why TLS cannot be spoken with these files. The codes are listed in `harness/README.md`. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError';
  readonly code: CertificateErrorCode;
  /** What to try next. */
  readonly hint: string;

  constructor(
    message: string,
    options: {
      readonly code: CertificateErrorCode;
      readonly hint: string;
      readonly cause?: unknown;
    },
  ) {
    super(message, options);
    this.code = options.code;
    this.hint = options.hint;
  }
}

/** What a server shows of itself, as PEM. */
export interface ServerCertificate {
  /** Its certificate first, then those between it and its authority. */
  readonly cert: string;
  readonly key: string;
}

/**
 * Reads a certificate and its key, and finds out before the first client does whether they can be used.
 *
 * @param nowMs the instant for which they have to be valid, since 1970
 * @throws {CertificateError}
 */
export function readServerCertificate(
  paths: { readonly cert: string; readonly key: string },
  nowMs: number,
): ServerCertificate {
  const cert = readPem(paths.cert);
  const key = readPem(paths.key);
  const certificate = parsed(paths.cert, 'certificate', () => new X509Certificate(cert));
  const secret = parsed(paths.key, 'private key', (): KeyObject => createPrivateKey(key));
  if (!certificate.checkPrivateKey(secret)) {
    throw new CertificateError(
      `The key in ${paths.key} is not that of the certificate in ${paths.cert}.`,
      {
        code: 'TLS_KEY_MISMATCH',
        hint: 'name the key that the certificate was made with, and its own certificate first in the file',
      },
    );
  }
  const { validFrom, validTo } = certificate;
  if (nowMs > wallClockOf(validTo)) {
    const hint = 'renew it, or check the clock of this machine';
    const message = `The certificate in ${paths.cert} was valid until ${validTo}.`;
    throw new CertificateError(message, { code: 'TLS_EXPIRED', hint });
  }
  if (nowMs < wallClockOf(validFrom)) {
    const hint = 'check the clock of this machine';
    const message = `The certificate in ${paths.cert} is valid from ${validFrom} on.`;
    throw new CertificateError(message, { code: 'TLS_NOT_YET_VALID', hint });
  }
  return { cert, key };
}

/**
 * Reads certificates of authorities.
 *
 * @throws {CertificateError} `TLS_UNREADABLE`, `TLS_INVALID`
 */
export function readAuthorities(path: string): string {
  const pem = readPem(path);
  parsed(path, 'certificate', () => new X509Certificate(pem));
  return pem;
}

function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code = 'unknown' } = cause as NodeJS.ErrnoException;
    const hint = 'check the path and its permissions';
    throw new CertificateError(`${path} cannot be read (${code}).`, {
      code: 'TLS_UNREADABLE',
      hint,
      cause,
    });
  }
}

function parsed<T>(path: string, what: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    const hint = 'a PEM file begins with -----BEGIN; a key must not be encrypted';
    const message = `${path} holds no ${what} as PEM.`;
    throw new CertificateError(message, { code: 'TLS_INVALID', hint, cause });
  }
}
