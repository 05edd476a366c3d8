// The allow-list for HDF5 structure: refuses everything our writer does not produce.
#include <algorithm>
#include <map>

#include "dtype.hpp"
#include "h5.hpp"
#include "h5_driver.hpp"
#include "rank_file.hpp"

namespace mtrain::checkpoint {
namespace {

struct Link {
  std::string name;
  H5L_type_t type;
};

herr_t add_link(hid_t, const char* name, const H5L_info_t* info, void* links) {
  static_cast<std::vector<Link>*>(links)->push_back({name, info->type});
  return 0;
}

/// Names of all links of a group; only hard links to objects of the kind wanted are
/// accepted.
std::vector<std::string> links_of(hid_t group, H5O_type_t wanted) {
  std::vector<Link> links;
  h5::checked(H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, add_link, &links),
              "list a group");
  std::vector<std::string> names;
  for (Link& link : links) {
    if (link.type != H5L_TYPE_HARD)
      throw Error(
          cat("\"", link.name, "\" is a soft or external link, which is not followed"));
    H5O_info_t object;
    h5::checked(H5Oget_info_by_name2(group, link.name.c_str(), &object, H5O_INFO_BASIC,
                                     H5P_DEFAULT),
                cat("read object ", link.name));
    if (object.type != wanted)
      throw Error(cat("\"", link.name, "\" is not a ",
                      wanted == H5O_TYPE_GROUP ? "group" : "dataset"));
    names.push_back(std::move(link.name));
  }
  return names;
}

void check_layout(hid_t dataset) {
  const h5::PropertyHandle properties(
      h5::checked(H5Dget_create_plist(dataset), "read a layout"));
  if (H5Pget_layout(properties.get()) != H5D_CONTIGUOUS)
    throw Error("is not stored contiguously");
  if (H5Pget_external_count(properties.get()) != 0)
    throw Error("has its bytes in an external file");
  if (H5Pget_nfilters(properties.get()) != 0) throw Error("is filtered or compressed");
}

void check_type(hid_t dataset, at::ScalarType dtype) {
  const h5::TypeHandle type(h5::checked(H5Dget_type(dataset), "read a type"));
  const hid_t wanted = dtype == at::kFloat ? H5T_IEEE_F32LE : H5T_STD_U16LE;
  if (H5Tequal(type.get(), wanted) <= 0)
    throw Error(cat("is not of the type that stores ", dtype_name(dtype)));
}

void check_dataset(hid_t dataset, const StoredBox& expected) {
  check_layout(dataset);
  check_type(dataset, expected.dtype);
  const h5::SpaceHandle space(h5::checked(H5Dget_space(dataset), "read a dataspace"));
  const parallel::Shape extents = h5::space_extents(space.get());
  if (extents != expected.box.extent)
    throw Error(cat("has extents [", join(extents, ", "), "], the manifest says [",
                    join(expected.box.extent, ", "), "]"));
  if (H5Dget_offset(dataset) != static_cast<haddr_t>(expected.position))
    throw Error("lies at another place than the manifest says");
  if (h5::read_string(dataset, "tensor") != expected.box.tensor ||
      h5::read_integers(dataset, "shape") != expected.box.full ||
      h5::read_integers(dataset, "offset") != expected.box.offset ||
      h5::read_string(dataset, "dtype") != dtype_name(expected.dtype))
    throw Error("has attributes other than the manifest says");
}

using BoxesByName = std::map<std::string, const StoredBox*>;

void check_group(hid_t file, const std::string& name, const BoxesByName& boxes) {
  const h5::GroupHandle group(
      h5::checked(H5Gopen2(file, name.c_str(), H5P_DEFAULT), cat("open group ", name)));
  const auto links = links_of(group.get(), H5O_TYPE_DATASET);
  for (const std::string& link : links) {
    const auto expected = boxes.find(link);
    const std::string path = cat("dataset /", name, "/", link, " ");
    if (expected == boxes.end()) throw Error(cat(path, "is not in the manifest"));
    const h5::DatasetHandle dataset(
        h5::checked(H5Dopen2(group.get(), link.c_str(), H5P_DEFAULT), "open " + path));
    try {
      check_dataset(dataset.get(), *expected->second);
    } catch (const Error& fault) {
      throw Error(cat(path, fault.what()));
    }
  }
  if (links.size() != boxes.size())
    throw Error(cat("group ", name, " has ", links.size(),
                    " datasets, the manifest says ", boxes.size()));
}

void check_root(hid_t file, const RankFile& expected) {
  if (h5::read_string(file, "format") != kRankFileFormat)
    throw Error("it is no rank file of mtrain");
  const auto check = [&](const char* name, int64_t value) {
    const auto found = h5::read_integers(file, name);
    if (found != std::vector<int64_t>{value})
      throw Error(
          cat("it says ", name, " ", join(found, ", "), ", the manifest ", value));
  };
  check("version", kSchemaVersion);
  check("step", expected.step);
  check("rank", expected.rank);
  check("world_size", expected.world);
}

void check_all(hid_t file, const RankFile& expected) {
  check_root(file, expected);
  std::map<std::string, BoxesByName> groups;
  for (const StoredBox& stored : expected.boxes)
    groups[stored.group][dataset_name(stored.box)] = &stored;
  const auto names = links_of(file, H5O_TYPE_GROUP);
  for (const std::string& name : names) {
    if (!groups.contains(name))
      throw Error(cat("group ", name, " is not in the manifest"));
    check_group(file, name, groups[name]);
  }
  if (names.size() != groups.size())
    throw Error(cat("has ", names.size(), " groups, the manifest says ", groups.size()));
}

}  // namespace

void check_structure(const std::filesystem::path& path, const RankFile& expected) {
  const h5::Quiet quiet;
  const auto file = h5::HostedFile::open(path);
  try {
    check_all(file.id(), expected);
  } catch (const Error&) {
    file.check();  // bytes that could not be read are the better explanation
    throw;
  }
  file.check();
}

}  // namespace mtrain::checkpoint
