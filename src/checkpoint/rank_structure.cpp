// The allow-list for a rank file's HDF5 structure: refuses everything our writer does not
// produce. Read without the HDF5 library; called before tensors are read from the file.
#include <algorithm>
#include <map>

#include "dtype.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/storage/hdf5_file.hpp"
#include "rank_file.hpp"

namespace mtrain::checkpoint {
namespace {

using storage::Hdf5Attribute;
using storage::Hdf5Dataset;
using storage::Hdf5File;
using storage::Hdf5Link;
using storage::Hdf5Object;
using storage::Hdf5Type;

/// An object that a hard link of `group` leads to.
const Hdf5Object& follow(Hdf5File& file, const Hdf5Link& link) {
  if (!link.object)
    throw Error(
        cat("\"", link.name, "\" is a soft or external link, which is not followed"));
  return file.object(link);
}

const Hdf5Attribute& attribute_of(const Hdf5Object& object, const char* name) {
  const auto found = object.attributes.find(name);
  if (found == object.attributes.end())
    throw Error(cat("has no attribute \"", name, "\""));
  return found->second;
}

/// Names the attribute that a fault is about.
template <class Read>
auto read_attribute(const Hdf5Object& object, const char* name, const Read& read) {
  const Hdf5Attribute& attribute = attribute_of(object, name);
  try {
    return read(attribute);
  } catch (const Error& fault) {
    throw Error(cat("attribute \"", name, "\": ", fault.what()));
  }
}

std::vector<int64_t> read_integers(const Hdf5File& file, const Hdf5Object& object,
                                   const char* name) {
  return read_attribute(object, name,
                        [&](const Hdf5Attribute& a) { return file.integers(a); });
}

std::string read_string(Hdf5File& file, const Hdf5Object& object, const char* name) {
  return read_attribute(object, name,
                        [&](const Hdf5Attribute& a) { return file.text(a); });
}

void check_layout(const Hdf5Dataset& dataset) {
  if (dataset.layout != Hdf5Dataset::Layout::kContiguous)
    throw Error("is not stored contiguously");
  if (dataset.is_external) throw Error("has its bytes in an external file");
  if (dataset.is_filtered) throw Error("is filtered or compressed");
  if (dataset.can_grow) throw Error("has extents that can grow");
}

bool stores(const Hdf5Type& type, at::ScalarType dtype) {
  if (dtype == at::kFloat) return type.kind == Hdf5Type::Kind::kFloat32;
  return type.kind == Hdf5Type::Kind::kInteger && type.bytes == 2 && !type.is_signed &&
         !type.is_big_endian;
}

void check_dataset(Hdf5File& file, const Hdf5Object& object, const StoredBox& expected) {
  const Hdf5Dataset& dataset = *object.dataset;
  check_layout(dataset);
  if (!stores(dataset.type, expected.dtype))
    throw Error(cat("is not of the type that stores ", dtype_name(expected.dtype)));
  if (dataset.extents != expected.box.extent)
    throw Error(cat("has extents [", join(dataset.extents, ", "),
                    "], the manifest says [", join(expected.box.extent, ", "), "]"));
  if (dataset.position != expected.position)
    throw Error("lies at another place than the manifest says");
  if (read_string(file, object, "tensor") != expected.box.tensor ||
      read_integers(file, object, "shape") != expected.box.full ||
      read_integers(file, object, "offset") != expected.box.offset ||
      read_string(file, object, "dtype") != dtype_name(expected.dtype))
    throw Error("has attributes other than the manifest says");
}

using BoxesByName = std::map<std::string, const StoredBox*>;

void check_group(Hdf5File& file, const Hdf5Link& group, const BoxesByName& boxes) {
  const auto& links = follow(file, group).links;
  if (!links) throw Error(cat("\"", group.name, "\" is not a group"));
  for (const Hdf5Link& link : *links) {
    const Hdf5Object& object = follow(file, link);
    if (!object.dataset) throw Error(cat("\"", link.name, "\" is not a dataset"));
    const auto expected = boxes.find(link.name);
    const std::string path = cat("dataset /", group.name, "/", link.name, " ");
    if (expected == boxes.end()) throw Error(cat(path, "is not in the manifest"));
    try {
      check_dataset(file, object, *expected->second);
    } catch (const Error& fault) {
      throw Error(cat(path, fault.what()));
    }
  }
  if (links->size() != boxes.size())
    throw Error(cat("group ", group.name, " has ", links->size(),
                    " datasets, the manifest says ", boxes.size()));
}

void check_root(Hdf5File& file, const RankFile& expected) {
  const Hdf5Object& root = file.root();
  if (read_string(file, root, "format") != kRankFileFormat)
    throw Error("it is no rank file of mtrain");
  const auto check = [&](const char* name, int64_t value) {
    const auto found = read_integers(file, root, name);
    if (found != std::vector<int64_t>{value})
      throw Error(
          cat("it says ", name, " ", join(found, ", "), ", the manifest ", value));
  };
  check("version", kSchemaVersion);
  check("step", expected.step);
  check("rank", expected.rank);
  check("world_size", expected.world);
}

}  // namespace

void check_structure(const File& bytes, const RankFile& expected) {
  Hdf5File file(bytes.size(), [&](int64_t at, void* to, size_t count) {
    bytes.read_at(at, to, count);
  });
  check_root(file, expected);
  std::map<std::string, BoxesByName> groups;
  for (const StoredBox& stored : expected.boxes)
    groups[stored.group][dataset_name(stored.box)] = &stored;
  const auto& links = file.root().links;
  if (!links) throw Error("its root is no group");
  for (const Hdf5Link& link : *links) {
    follow(file, link);
    const auto boxes = groups.find(link.name);
    if (boxes == groups.end())
      throw Error(cat("group ", link.name, " is not in the manifest"));
    check_group(file, link, boxes->second);
  }
  if (links->size() != groups.size())
    throw Error(cat("has ", links->size(), " groups, the manifest says ", groups.size()));
}

}  // namespace mtrain::checkpoint
