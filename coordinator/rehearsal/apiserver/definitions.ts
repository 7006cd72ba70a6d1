import type { JsonObject, KubeObject } from '../../cluster/port.ts';
import { crdSpec } from './kinds.ts';
import type { Schema } from './schema.ts';
import { unjudgedCauses } from './schema-checks.ts';
import type { Cause } from './status-error.ts';

type Definition = {
  readonly spec?: {
    readonly group?: string;
    readonly scope?: string;
    readonly names?: { readonly plural?: string; readonly kind?: string };
    readonly versions?: readonly {
      readonly name?: string;
      readonly storage?: boolean;
      readonly schema?: { readonly openAPIV3Schema?: Schema };
    }[];
  };
};

/** The checks of a CustomResourceDefinition that a mistake in ours would fail. */
export function definitionCauses(object: KubeObject): readonly Cause[] {
  const { spec } = object as Definition;
  const versions = spec?.versions ?? [];
  const causes: Cause[] = [];
  const wanted = `${spec?.names?.plural}.${spec?.group}`;
  if (object.metadata.name !== wanted) {
    const message = `Invalid value: "${object.metadata.name}": must be spec.names.plural+"."+spec.group`;
    causes.push({ reason: 'FieldValueInvalid', message, field: 'metadata.name' });
  }
  if (!spec?.names?.kind) causes.push(required('spec.names.kind'));
  if (spec?.scope !== 'Namespaced' && spec?.scope !== 'Cluster') {
    const message = `Unsupported value: ${JSON.stringify(spec?.scope ?? '')}: supported values: "Cluster", "Namespaced"`;
    causes.push({ reason: 'FieldValueNotSupported', message, field: 'spec.scope' });
  }
  if (versions.filter((version) => version.storage === true).length !== 1) {
    const message = 'Invalid value: must have exactly one version marked as storage version';
    causes.push({ reason: 'FieldValueInvalid', message, field: 'spec.versions' });
  }
  versions.forEach((version, at) => {
    const field = `spec.versions[${at}].schema.openAPIV3Schema`;
    const schema = version.schema?.openAPIV3Schema;
    causes.push(...(schema === undefined ? [required(field)] : unjudgedCauses(schema, field)));
  });
  return causes;
}

/** What the controllers of the real server write a moment after a definition was made. */
export function establishedStatus(definition: KubeObject, now: string): JsonObject {
  const { names, versions } = crdSpec(definition);
  const condition = (type: string, reason: string, message: string) => ({
    type,
    status: 'True',
    lastTransitionTime: now,
    reason,
    message,
  });
  return {
    acceptedNames: names,
    storedVersions: versions.map(({ name }) => name),
    conditions: [
      condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
      condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
    ],
  };
}

function required(field: string): Cause {
  return { reason: 'FieldValueRequired', message: 'Required value', field };
}
