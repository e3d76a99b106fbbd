// `grpc.reflection.v1.ServerReflection`, from the descriptors in the generated code: lets grpcurl and its like call the
// node without having its .proto files.
import { type DescFile, type DescMessage, type DescService, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, type ServiceImpl } from '@connectrpc/connect';
import type { ServerReflection, ServerReflectionRequest } from 'norikv-protocol';

/** Files and symbols that the services use. */
class DescriptorIndex {
  readonly files = new Map<string, DescFile>();
  readonly symbols = new Map<string, DescFile>();

  add(file: DescFile): void {
    if (this.files.has(file.name)) return;
    this.files.set(file.name, file);
    for (const service of file.services) {
      this.symbols.set(service.typeName, file);
      for (const method of service.methods) this.symbols.set(`${service.typeName}.${method.name}`, file);
    }
    for (const message of file.messages) this.#addMessage(message, file);
    for (const enumeration of file.enums) this.symbols.set(enumeration.typeName, file);
    for (const dependency of file.dependencies) this.add(dependency);
  }

  #addMessage(message: DescMessage, file: DescFile): void {
    this.symbols.set(message.typeName, file);
    for (const field of message.fields) this.symbols.set(`${message.typeName}.${field.name}`, file);
    for (const nested of message.nestedMessages) this.#addMessage(nested, file);
    for (const enumeration of message.nestedEnums) this.symbols.set(enumeration.typeName, file);
  }
}

/** A file and all it imports, as `FileDescriptorProto`s, the file itself first. */
const withDependencies = (file: DescFile, seen = new Set<DescFile>()): Uint8Array[] => {
  if (seen.has(file)) return [];
  seen.add(file);
  const encoded = toBinary(FileDescriptorProtoSchema, file.proto);
  return [encoded, ...file.dependencies.flatMap((dependency) => withDependencies(dependency, seen))];
};

/** Builds the implementation of `grpc.reflection.v1.ServerReflection` for `services`. */
export const reflectionService = (services: readonly DescService[]): ServiceImpl<typeof ServerReflection> => {
  const index = new DescriptorIndex();
  for (const service of services) index.add(service.file);

  const fileResponse = (file: DescFile | undefined, what: string) =>
    file === undefined
      ? notFound(`There is no ${what} here`)
      : {
          case: 'fileDescriptorResponse' as const,
          value: { fileDescriptorProto: withDependencies(file) },
        };

  const answer = ({ messageRequest: request }: ServerReflectionRequest) => {
    switch (request.case) {
      case 'listServices':
        return {
          case: 'listServicesResponse' as const,
          value: { service: services.map((service) => ({ name: service.typeName })) },
        };
      case 'fileByFilename':
        return fileResponse(index.files.get(request.value.replace(/\.proto$/, '')), `file '${request.value}'`);
      case 'fileContainingSymbol':
        return fileResponse(index.symbols.get(request.value), `symbol '${request.value}'`);
      case 'fileContainingExtension':
      case 'allExtensionNumbersOfType':
        return notFound('There are no extensions here');
      default:
        return {
          case: 'errorResponse' as const,
          value: { errorCode: Code.InvalidArgument, errorMessage: 'message_request is not set' },
        };
    }
  };

  return {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        yield { validHost: request.host, originalRequest: request, messageResponse: answer(request) };
      }
    },
  };
};

const notFound = (errorMessage: string) => ({
  case: 'errorResponse' as const,
  value: { errorCode: Code.NotFound, errorMessage },
});
