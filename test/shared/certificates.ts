import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Certificates as a chart or cert-manager would make them, by the openssl of this machine. */
export function createAuthority(folder: string, name: string) {
  const at = (file: string) => join(folder, `${name}-${file}`);
  const run = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  run('req', '-x509', ...curve, '-subj', `/CN=${name}`, '-keyout', at('ca.key'), '-out', at('ca.crt'));
  let serial = 1;

  return {
    caFile: at('ca.crt'),
    /** Names are separated by commas; `days` below 0: expired. */
    issue(dnsNames: string, days = 1): { readonly certFile: string; readonly keyFile: string } {
      serial += 1;
      const [dnsName = ''] = dnsNames.split(',');
      const stem = `${dnsName}-${serial}`;
      const [request, keyFile, certFile] = [at(`${stem}.csr`), at(`${stem}.key`), at(`${stem}.crt`)];
      const extensions = at(`${stem}.ext`);
      const names = dnsNames.split(',').map((name) => `DNS:${name}`);
      writeFileSync(extensions, `subjectAltName=${names.join()}\n`);
      run('req', ...curve, '-subj', `/CN=${dnsName}`, '-keyout', keyFile, '-out', request);
      const validity = ['-days', String(days)];
      const signer = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-set_serial', String(serial)];
      run('x509', '-req', '-in', request, ...signer, ...validity, '-extfile', extensions, '-out', certFile);
      return { certFile, keyFile };
    },
    /** Good from a minute ago until then, which openssl can be told only where it keeps a register. */
    issueUntil(dnsName: string, until: Date): { readonly certFile: string; readonly keyFile: string } {
      serial += 1;
      const stem = `${dnsName}-${serial}`;
      const [request, keyFile, certFile] = [at(`${stem}.csr`), at(`${stem}.key`), at(`${stem}.crt`)];
      const [config, register, next] = [at(`${stem}.cnf`), at(`${stem}.txt`), at(`${stem}.serial`)];
      writeFileSync(register, '');
      writeFileSync(next, `0${serial}\n`.slice(-3));
      writeFileSync(
        config,
        [
          ...['[ca]', 'default_ca = it', '[it]', `database = ${register}`, `serial = ${next}`],
          ...[`new_certs_dir = ${folder}`, 'default_md = sha256', 'policy = any', 'x509_extensions = names'],
          ...['[any]', 'commonName = supplied', '[names]', `subjectAltName = DNS:${dnsName}`, ''],
        ].join('\n'),
      );
      run('req', ...curve, '-subj', `/CN=${dnsName}`, '-keyout', keyFile, '-out', request);
      const asTime = (date: Date) => `${date.toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`;
      const validity = ['-startdate', asTime(new Date(Date.now() - 60_000)), '-enddate', asTime(until)];
      const signer = ['-cert', at('ca.crt'), '-keyfile', at('ca.key'), '-config', config];
      run('ca', '-batch', '-notext', ...signer, '-in', request, ...validity, '-out', certFile);
      return { certFile, keyFile };
    },
  };
}
