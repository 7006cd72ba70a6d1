import { execFileSync } from 'node:child_process';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The files of a certificate and its key. */
type Pair = { readonly certFile: string; readonly keyFile: string };

const dayMs = 86_400_000;

/** Certificates as a chart or cert-manager would make them, by the openssl of this machine. */
export function createAuthority(folder: string, name: string) {
  const at = (file: string) => join(folder, `${name}-${file}`);
  const run = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  run('req', '-x509', ...curve, '-subj', `/CN=${name}`, '-keyout', at('ca.key'), '-out', at('ca.crt'));
  let serial = 1;

  /** Names are separated by commas. To the second, which openssl can be told only where it keeps a register. */
  function issueUntil(dnsNames: string, until: Date): Pair {
    serial += 1;
    const [dnsName = ''] = dnsNames.split(',');
    const stem = `${dnsName}-${serial}`;
    const [request, keyFile, certFile] = [at(`${stem}.csr`), at(`${stem}.key`), at(`${stem}.crt`)];
    const [config, register, next] = [at(`${stem}.cnf`), at(`${stem}.txt`), at(`${stem}.serial`)];
    const alternatives = dnsNames.split(',').map((each) => `DNS:${each}`);
    writeFileSync(register, '');
    writeFileSync(next, `${serial.toString(16).padStart(2, '0')}\n`);
    writeFileSync(
      config,
      [
        ...['[ca]', 'default_ca = it', '[it]', `database = ${register}`, `serial = ${next}`],
        ...[`new_certs_dir = ${folder}`, 'default_md = sha256', 'policy = any', 'x509_extensions = names'],
        ...['[any]', 'commonName = supplied', '[names]', `subjectAltName = ${alternatives.join()}`, ''],
      ].join('\n'),
    );
    run('req', ...curve, '-subj', `/CN=${dnsName}`, '-keyout', keyFile, '-out', request);
    const asTime = (date: Date) => `${date.toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`;
    const from = new Date(Math.min(Date.now() - 60_000, until.getTime() - dayMs));
    const validity = ['-startdate', asTime(from), '-enddate', asTime(until)];
    const signer = ['-cert', at('ca.crt'), '-keyfile', at('ca.key'), '-config', config];
    run('ca', '-batch', '-notext', ...signer, '-in', request, ...validity, '-out', certFile);
    return { certFile, keyFile };
  }

  return {
    caFile: at('ca.crt'),
    issueUntil,
    /** `days` below 0: expired. */
    issue: (dnsNames: string, days = 1) => issueUntil(dnsNames, new Date(Date.now() + days * dayMs)),
  };
}

/** Renews files one by one, as nothing in a cluster does. */
export function copyPair(from: Pair, to: Pair): void {
  copyFileSync(from.certFile, to.certFile);
  copyFileSync(from.keyFile, to.keyFile);
}
